/** The OpenTelemetry Collector goes away in the middle of things and comes back: nothing is lost, and nothing comes twice. */
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
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
const A_TURN = 100

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
      const failures = new EventTarget()
      const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url, ...options }), {
        maxQueueSize: 2 * SPANS,
        maxQueueBytes: 256 * 2 ** 20,
        maxExportBatchSize: 100,
        scheduledDelayMillis: 50,
        retry: { initialBackoffMillis: 50, maxBackoffMillis: 500 },
        circuitBreaker: { probeIntervalMillis: 500 },
        onError: ({ code }) => failures.dispatchEvent(new Event(code)),
      })
      let ended = 0
      /** As a program goes on, whatever happens to its collector. */
      const produce = async (upTo: number): Promise<void> => {
        while (ended < upTo) {
          for (let i = 0; i < A_TURN && ended < upTo; i++) processor.onEnd(spans[ended++]!)
          expectBalance(processor)
          await nextTurn()
        }
      }

      await produce(SPANS / 4)
      await expect.poll(() => processor.stats().exported, { timeout: 10_000 }).toBeGreaterThan(0)
      const failed = once(failures, 'network')
      const [exitCode] = await Promise.all([collector.stop(), produce(SPANS / 2)])
      expect(exitCode).toBe(0)
      await produce((SPANS * 3) / 4)
      await failed
      const whileDown = processor.stats()
      await Promise.all([collector.start(), produce(SPANS)])
      // By itself: while the breaker is open, a flush would only say so.
      await expect.poll(() => processor.stats().pending, { timeout: 60_000 }).toBe(0)

      // It was cut off with work before it and work behind it.
      expect(whileDown.exported).toBeGreaterThan(0)
      expect(whileDown.pending).toBeGreaterThan(SPANS / 4)
      expect(expectBalance(processor)).toMatchObject({ ended: SPANS, exported: SPANS, pending: 0 })
      expect(await collector.stop()).toBe(0)
      expectSameSpans(collector.written(), spans)
    },
  )
})
