/** What must hold under a provider's own `forceFlush` and `shutdown`: one suite for every line of the SDK. */
import type { Tracer } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OTLPTraceExporter } from '../../src/index.ts'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import { namesOf } from './gates.ts'
import { droppedIn, watchedProcessor } from './ledger.ts'
import { answers, type Collector, startCollector } from './misbehaving-collector.ts'
import { hangsAfterReading } from './misbehaviours.ts'

/** A provider of any line. */
export interface Provider {
  getTracer(name: string): Tracer
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

/** Registers the tests for one line of the SDK. */
export function testUnderProvider(
  line: string,
  createProvider: (processor: BatchSpanProcessor) => Provider,
): void {
  describe(`under the provider of ${line}`, () => {
    let collector: Collector

    beforeEach(async () => {
      collector = await startCollector()
    })

    afterEach(() => collector.stop())

    function pipeline(options: BatchSpanProcessorOptions = {}) {
      const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }), {
        scheduledDelayMillis: 0,
        // So that a retry does not make the test wait.
        retry: { initialBackoffMillis: 10 },
        ...options,
      })
      const provider = createProvider(processor)
      return { processor, provider, tracer: provider.getTracer('provider') }
    }

    const receivedNames = () => collector.requests.flatMap(({ body }) => namesOf(body))

    test('B63: forceFlush and shutdown of the provider deliver, and what is ended afterwards is counted', async () => {
      const { processor, provider, tracer } = pipeline()
      tracer.startSpan('flushed').end()
      await provider.forceFlush()
      expect(receivedNames()).toEqual(['flushed'])
      tracer.startSpan('shut down').end()
      const late = tracer.startSpan('late')
      await provider.shutdown()
      late.end()
      expect(receivedNames()).toEqual(['flushed', 'shut down'])
      expect(processor.stats()).toMatchObject({ exported: 2, dropped: { already_shutdown: 1 } })
    })

    test('B1, B63: its forceFlush waits for the export that is in flight', async () => {
      let answer = () => {}
      collector.otherwise({
        stage: 'request',
        act(socket, request) {
          answer = () => answers(200).act(socket, request)
        },
      })
      const { processor, provider, tracer } = pipeline({ maxExportBatchSize: 1 })
      tracer.startSpan('in flight').end()
      await expect.poll(() => collector.requests.length).toBe(1)
      expect(processor.stats()).toMatchObject({ pending: 1, inFlight: 1 })
      const flushed = provider.forceFlush().then(() => processor.stats().exported)
      setTimeout(() => answer(), 50)
      expect(await flushed).toBe(1)
    })

    test('B57, B63: its forceFlush sends again what was refused for the time being', async () => {
      collector.script(answers(503), answers(503))
      const { processor, provider, tracer } = pipeline()
      tracer.startSpan('insistent').end()
      await provider.forceFlush()
      expect(receivedNames()).toEqual(['insistent', 'insistent', 'insistent'])
      expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
    })

    test('B63: our deadline is below the provider’s, so that its forceFlush does not reject', async () => {
      collector.otherwise(hangsAfterReading())
      const { processor, provider, tracer } = pipeline({
        flushTimeoutMillis: 100,
        shutdownTimeoutMillis: 100,
      })
      tracer.startSpan('stuck').end()
      await expect(provider.forceFlush()).resolves.toBeUndefined()
      await expect(provider.shutdown()).resolves.toBeUndefined()
      expect(droppedIn(processor.stats())).toBe(1)
    })
  })
}
