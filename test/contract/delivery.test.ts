/** The processor and the OTLP exporter against a collector on loopback that misbehaves: real sockets, real time. */
import { setTimeout as elapsed } from 'node:timers/promises'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BasicTracerProvider as BasicTracerProvider1 } from 'sdk-trace-base-1'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { OTLPTraceExporter, type OTLPTraceExporterOptions } from '../../src/index.ts'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { namesOf } from '../helpers/gates.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers, type Behaviour, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import {
  answersWithBytes,
  drips,
  hangsAfterReading,
  hangsAtAccept,
  hangsMidResponse,
  hangsWhileReading,
  rejects,
  resetsAfterHeaders,
  resetsAfterReading,
  resetsAtAccept,
  speaksNonsense,
  truncatesResponse,
} from '../helpers/misbehaviours.ts'
import { end, names } from '../helpers/processors.ts'
import { testUnderProvider } from '../helpers/provider-suite.ts'

/** How much later than its deadline a call may settle, in milliseconds, where timers are on time. */
const TOLERANCE_MILLIS = 50

/**
 * Settles with the time, in milliseconds, by which a call that began just before this one, with that deadline, has to
 * have settled. A bare timer that runs beside it tells how late this machine is.
 */
async function latestEnd(deadlineMillis: number): Promise<number> {
  const started = performance.now()
  await elapsed(deadlineMillis)
  return Math.max(performance.now() - started, deadlineMillis) + TOLERANCE_MILLIS
}

/** So that a retry does not make the test wait. */
const EAGER: BatchSpanProcessorOptions = { scheduledDelayMillis: 0, retry: { initialBackoffMillis: 10 } }

/** The pool of Node's `fetch` opens a second connection when a request follows in the very turn of an answer. */
const TRANSPORTS: [string, OTLPTraceExporterOptions, connections: number][] = [
  ['node:http', {}, 1],
  ['fetch', { fetch: (...request) => fetch(...request) }, 2],
]

let collector: Collector

beforeEach(async () => {
  collector = await startCollector()
})

afterEach(() => collector.stop())

/** A request above so many bytes is refused as too large. */
function refusesAbove(bytes: number): Behaviour {
  return {
    stage: 'request',
    act(socket, request) {
      answers(request!.body.length > bytes ? 413 : 200).act(socket, request)
    },
  }
}

function acceptedNames(): string[] {
  return collector.requests.flatMap(({ body }) => namesOf(body))
}

describe.each(TRANSPORTS)('over %s', (_, transport, connections) => {
  function pipeline(options: BatchSpanProcessorOptions = {}, exporter: OTLPTraceExporterOptions = {}) {
    return watchedProcessor(new OTLPTraceExporter({ url: collector.url, ...transport, ...exporter }), {
      ...EAGER,
      ...options,
    })
  }

  test.each<[string, Behaviour]>([
    ['answers 429', answers(429)],
    ['answers 502', answers(502)],
    ['answers 503', answers(503)],
    ['answers 504', answers(504)],
    ['resets the connection at once', resetsAtAccept()],
    ['resets it on the headers', resetsAfterHeaders()],
    ['resets it after the request', resetsAfterReading()],
    ['truncates its response', truncatesResponse(200)],
    ['speaks another protocol', speaksNonsense()],
  ])('B32: a collector that %s gets the batch again', async (_, misbehaviour) => {
    collector.script(misbehaviour)
    const processor = pipeline()
    end(processor, ...names(5))
    const result = await processor.flush({ timeoutMillis: 8000 })
    expect(result).toMatchObject({ status: 'success', exported: 5 })
    expect(acceptedNames().slice(-5)).toEqual(names(5))
  })

  test.each<[string, Behaviour]>([
    ['takes the connection and reads nothing', hangsAtAccept()],
    ['stops reading', hangsWhileReading()],
    ['never answers', hangsAfterReading()],
    ['stops in the middle of its response', hangsMidResponse(200)],
    ['drips its response', drips(200, 20)],
  ])(
    'B8: a flush at a collector that %s settles at its deadline, with the truth',
    async (_, misbehaviour) => {
      collector.otherwise(misbehaviour)
      collector.script(misbehaviour)
      const processor = pipeline()
      end(processor, ...names(7))
      const longer = processor.flush({ timeoutMillis: 1000 })
      const latestLonger = latestEnd(1000)
      const shorter = processor.flush({ timeoutMillis: 300 })
      const latestShorter = latestEnd(300)
      const result = await shorter
      expect(result).toMatchObject({ status: 'timeout', exported: 0, pending: 7 })
      expect(result.durationMillis).toBeGreaterThanOrEqual(299)
      expect(result.durationMillis).toBeLessThan(await latestShorter)
      const later = await longer
      expect(later).toMatchObject({ status: 'timeout', pending: 7 })
      expect(later.durationMillis).toBeGreaterThanOrEqual(999)
      expect(later.durationMillis).toBeLessThan(await latestLonger)
    },
  )

  test('B8: with no caller left the attempt goes on to its own deadline; then the socket really closes', async () => {
    collector.otherwise(hangsAfterReading())
    const processor = pipeline({ exportTimeoutMillis: 700 })
    end(processor, 'a')
    const started = performance.now()
    expect(await processor.flush({ timeoutMillis: 100 })).toMatchObject({ status: 'timeout', pending: 1 })
    await collector.whenRequests(1)
    const openAfterFlush = collector.openConnections
    await collector.whenClosed(1)
    expect(openAfterFlush).toBe(1)
    expect(performance.now() - started).toBeGreaterThanOrEqual(699)
    expect(processor.stats()).toMatchObject({ pending: 1 })
  })

  test('B34: the attempts at a batch and their waits end with exportTimeoutMillis', async () => {
    collector.otherwise(hangsAfterReading())
    const processor = pipeline({ exportTimeoutMillis: 1000 }, { attemptTimeoutMillis: 600 })
    end(processor, 'a')
    const started = performance.now()
    void processor.flush({ timeoutMillis: 5000 })
    const latest = latestEnd(1000)
    // 600 ms, a wait of some 10 ms, and the 390 ms that are left: enough for a second attempt on a busy machine, too.
    await collector.whenClosed(2)
    const durationMillis = performance.now() - started
    expect(durationMillis).toBeGreaterThanOrEqual(999)
    expect(durationMillis).toBeLessThan(await latest)
  })

  test('B7: shutdown during a backoff settles within its 500 ms, and no request follows', async () => {
    collector.otherwise(answers(503))
    const processor = pipeline({ scheduledDelayMillis: 1, retry: {} })
    end(processor, ...names(3))
    await collector.whenRequests(1)
    const started = performance.now()
    const shutDown = processor.shutdown({ timeoutMillis: 500 })
    const latest = latestEnd(500)
    await shutDown
    const durationMillis = performance.now() - started
    expect(durationMillis).toBeLessThan(await latest)
    const { length } = collector.requests
    expect(length).toBeLessThanOrEqual(2)
    expect(processor.stats()).toMatchObject({ pending: 0, dropped: { shutdown_timeout: 3 } })
    end(processor, 'late')
    await processor.flush()
    expect(collector.requests).toHaveLength(length)
  })

  test('B35: a collector that takes small requests only gets all spans in small requests', async () => {
    collector.otherwise(refusesAbove(600))
    const processor = pipeline()
    end(processor, ...names(40))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 40 })
    const small = collector.requests.filter(({ body }) => body.length <= 600)
    expect(small.flatMap(({ body }) => namesOf(body))).toEqual(names(40))
  })

  test('B17: a span that no request can hold is dropped alone; its neighbours are delivered', async () => {
    const processor = pipeline({}, { maxRequestBytes: 2000 })
    end(processor, 'before', 'x'.repeat(5000), 'after')
    expect(await processor.flush()).toMatchObject({ status: 'failure', exported: 2, dropped: 1 })
    expect(processor.stats().dropped.span_too_large).toBe(1)
    expect(acceptedNames()).toEqual(['before', 'after'])
    for (const { body } of collector.requests) expect(body.length).toBeLessThanOrEqual(2000)
  })

  test('B36: what the collector rejects is counted and not sent again', async () => {
    collector.script(rejects(2, 'too old'))
    const processor = pipeline()
    end(processor, ...names(5))
    const result = await processor.flush()
    expect(result).toMatchObject({ status: 'failure', exported: 3, rejected: 2, pending: 0 })
    expect(result.error?.message).toContain('too old')
    expect(collector.requests).toHaveLength(1)
  })

  test('B36: a response above 4 MiB is refused, for good', async () => {
    collector.script(answersWithBytes(200, 4 * 1024 * 1024 + 1))
    const processor = pipeline()
    end(processor, 'a')
    const result = await processor.flush({ timeoutMillis: 8000 })
    expect(result).toMatchObject({ status: 'failure', failed: 1, error: { code: 'bad_response' } })
    expect(collector.requests).toHaveLength(1)
  })

  test('B40: forty batches share a kept-alive connection', async () => {
    const processor = pipeline({ maxExportBatchSize: 5 })
    end(processor, ...names(200))
    expect(await processor.flush({ timeoutMillis: 8000 })).toMatchObject({ status: 'success', exported: 200 })
    expect(collector.requests).toHaveLength(40)
    expect(collector.connectionCount).toBeLessThanOrEqual(connections)
  })

  test('B57: a collector that is gone and comes back gets everything, once, in order', async () => {
    const errors: string[] = []
    const onError = ({ code }: { code: string }) => void errors.push(code)
    const processor = pipeline({ maxExportBatchSize: 10, circuitBreaker: false, onError })
    end(processor, ...names(10, 'first-'))
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    await collector.stop()
    end(processor, ...names(40, 'second-'))
    await vi.waitFor(() => expect(errors).toEqual(['network']), { timeout: 10_000 })
    const duringOutage = await processor.flush({ timeoutMillis: 400 })
    expect(duringOutage).toMatchObject({ exported: 0, pending: 40, error: { code: 'network' } })
    await collector.start()
    const afterwards = await processor.flush({ timeoutMillis: 8000 })
    expect(afterwards).toMatchObject({ status: 'success', exported: 40 })
    expect(acceptedNames()).toEqual([...names(10, 'first-'), ...names(40, 'second-')])
  })

  test('B58: one batch that the collector chokes on does not hold up the others', async () => {
    collector.otherwise({
      stage: 'request',
      act(socket, request) {
        answers(namesOf(request!.body).includes('poison') ? 503 : 200).act(socket, request)
      },
    })
    const processor = pipeline({ maxExportBatchSize: 2 })
    end(processor, 'poison', 'beside', ...names(6))
    const result = await processor.flush({ timeoutMillis: 8000 })
    expect(result).toMatchObject({ status: 'failure', exported: 6, dropped: 2, pending: 0 })
    expect(processor.stats().dropped.retry_exhausted).toBe(2)
  })
})

testUnderProvider('SDK 2.12', (processor) => new BasicTracerProvider({ spanProcessors: [processor] }))
testUnderProvider('SDK 1.30', (processor) => new BasicTracerProvider1({ spanProcessors: [processor] }))
