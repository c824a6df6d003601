/** The OpenTelemetry Collector goes away in the middle of things and comes back: nothing is lost, and nothing comes twice. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { Collector } from './collector.ts'
import { collectorRecipe } from './recipes.ts'
import { expectSameSpans } from './same-spans.ts'
import { variedSpans } from './varied-spans.ts'
import { describeWith } from './with-receiver.ts'

const SPANS = 10_000
const A_TICK = 100

const transports: [name: string, options: OTLPTraceExporterOptions][] = [
  ['node:http', {}],
  ['fetch', { fetch: globalThis.fetch }],
]

describeWith(collectorRecipe, 'an OpenTelemetry Collector that restarts', () => {
  it.each(transports)(
    'B57: over %s: every span is there once, and the ledger balances all along',
    async (_name, options) => {
      const spans = variedSpans(SPANS, 4)
      const collector = await Collector.start()
      const errors: string[] = []
      const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url, ...options }), {
        maxQueueSize: 2 * SPANS,
        maxQueueBytes: 256 * 2 ** 20,
        maxExportBatchSize: 100,
        scheduledDelayMillis: 50,
        retry: { initialBackoffMillis: 50, maxBackoffMillis: 500 },
        circuitBreaker: { probeIntervalMillis: 500 },
        onError: ({ code }) => errors.push(code),
      })
      let ended = 0
      // As a program goes on while its collector is replaced.
      const produce = async (upTo: number): Promise<void> => {
        while (ended < upTo) {
          for (let i = 0; i < A_TICK && ended < upTo; i++) processor.onEnd(spans[ended++]!)
          expectBalance(processor)
          await sleep(10)
        }
      }

      const producing = produce(SPANS)
      while (ended < SPANS / 4) await sleep(5)
      expect(await collector.stop()).toBe(0)
      while (errors.length === 0) await sleep(5)
      const whileDown = processor.stats()
      await producing
      await collector.start()
      // By itself: while the breaker is open, a flush would only say so.
      await expect.poll(() => processor.stats().pending, { timeout: 60_000 }).toBe(0)

      // It was cut off with work before it and work behind it.
      expect(whileDown.exported).toBeGreaterThan(0)
      expect(whileDown.exported).toBeLessThan(SPANS)
      expect(errors).toContain('network')
      expect(expectBalance(processor)).toMatchObject({ ended: SPANS, exported: SPANS, pending: 0 })
      expect(await collector.stop()).toBe(0)
      expectSameSpans(collector.written(), spans)
    },
  )
})
