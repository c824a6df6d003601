/** What we make of the OpenTelemetry Collector's refusals: it is obeyed, and nothing is lost. */
import { expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { FlushResult, ReadableSpan } from '../../src/types.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { handMadeSpan } from '../helpers/spans.ts'
import { answersFrom } from './answers.ts'
import { Collector } from './collector.ts'
import { GrpcBackend } from './grpc-backend.ts'
import { collectorRecipe } from './recipes.ts'
import { expectSameSpans } from './same-spans.ts'
import { variedSpans } from './varied-spans.ts'
import { describeWith } from './with-receiver.ts'

const KIB = 1024
const PATIENT = { timeoutMillis: 60_000 }
/** A timer may fire within the millisecond before its time. */
const TIMER_MILLIS = 2

/** Hands everything on to a backend. */
function relayTo(endpoint: string, sendingQueue: Record<string, unknown>): Record<string, unknown> {
  const patience = { timeout: '60s', retry_on_failure: { enabled: false } }
  return {
    otlp_grpc: {
      endpoint,
      tls: { insecure: true },
      compression: 'none',
      sending_queue: sendingQueue,
      ...patience,
    },
  }
}

/** Spans of some 100 KiB each. */
function largeSpans(count: number, first: number): ReadableSpan[] {
  return Array.from({ length: count }, (_, index) => {
    const spanId = (first + index + 1).toString(16).padStart(16, '0')
    const spanContext = () => ({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId, traceFlags: 1 })
    return handMadeSpan({ spanContext, attributes: { large: 'x'.repeat(100 * KIB) } })
  })
}

describeWith(collectorRecipe, 'an overloaded OpenTelemetry Collector', () => {
  it('B33: its 429 with Retry-After: nothing is sent sooner, whatever the backoff, then everything', async () => {
    const backend = await GrpcBackend.start()
    const collector = await Collector.start({ exporters: relayTo(backend.endpoint, { enabled: false }) })
    const { answers } = answersFrom(collector.port)
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter, { retry: { initialBackoffMillis: 10, jitter: 0 } })
    const spans = variedSpans(500, 1)
    for (const span of spans) processor.onEnd(span)
    backend.mood = { retryDelaySeconds: 5 }

    const impatient = await processor.flush({ timeoutMillis: 4000 })

    expect(answers).toMatchObject([{ status: 429, retryAfter: '5' }])
    // Five seconds are more than it has: it need not wait to know.
    expect(impatient).toMatchObject({
      status: 'failure',
      pending: 500,
      error: { code: 'http_status', status: 429 },
    })
    expect(impatient.durationMillis).toBeLessThan(4000)

    backend.accept()
    const patient = await processor.flush(PATIENT)

    expect(patient).toMatchObject({ status: 'success', exported: 500 })
    expect(answers).toMatchObject([{ status: 429 }, { status: 200 }])
    expect(answers[1]!.requestedAt - answers[0]!.at).toBeGreaterThanOrEqual(5000 - TIMER_MILLIS)
    expect(answers[1]!.requestedAt - answers[0]!.at).toBeLessThan(20_000)
    expectSameSpans(backend.requests, spans)
  })

  it('B33: its 429 without Retry-After: the ordinary backoff', async () => {
    const backend = await GrpcBackend.start()
    const collector = await Collector.start({ exporters: relayTo(backend.endpoint, { enabled: false }) })
    const { answers, answered } = answersFrom(collector.port)
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter, {
      retry: { initialBackoffMillis: 200, multiplier: 2, jitter: 0, maxAttempts: 10 },
    })
    const spans = variedSpans(100, 2)
    for (const span of spans) processor.onEnd(span)
    backend.mood = { retryDelaySeconds: undefined }

    const flushed = processor.flush(PATIENT)
    await answered(3)
    backend.accept()

    expect(await flushed).toMatchObject({ status: 'success', exported: 100 })
    const waits = answers.slice(1).map(({ requestedAt }, index) => requestedAt - answers[index]!.at)
    expect(answers.slice(0, 3)).toMatchObject(Array(3).fill({ status: 429, retryAfter: undefined }))
    expect(waits[0]).toBeGreaterThanOrEqual(200 - TIMER_MILLIS)
    expect(waits[1]).toBeGreaterThanOrEqual(400 - TIMER_MILLIS)
    expect(waits[2]).toBeGreaterThanOrEqual(800 - TIMER_MILLIS)
    expectSameSpans(backend.requests, spans)
  })

  it('B32: the 503 of its memory limiter: held until it has memory again, nothing lost, nothing twice', async () => {
    const backend = await GrpcBackend.start()
    backend.mood = 'sitting on them'
    const collector = await Collector.start({
      processors: {
        memory_limiter: {
          check_interval: '50ms',
          limit_mib: 64,
          spike_limit_mib: 16,
          min_gc_interval_when_soft_limited: '0s',
          max_gc_interval_when_soft_limited: '200ms',
          max_gc_interval_when_hard_limited: '200ms',
        },
      },
      exporters: relayTo(backend.endpoint, { enabled: true, queue_size: 100_000, num_consumers: 1 }),
    })
    const { answers } = answersFrom(collector.port)
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter, {
      maxQueueBytes: 512 * KIB * KIB,
      maxExportBatchBytes: 1024 * KIB,
      retry: { initialBackoffMillis: 100, multiplier: 1.5, maxBackoffMillis: 500, jitter: 0 },
      circuitBreaker: false,
    })
    const spans: ReadableSpan[] = []
    let refusal: FlushResult
    let refusals: typeof answers

    // Its memory fills with what the backend does not take. A first refusal may be over once it has collected its garbage.
    do {
      const more = largeSpans(50, spans.length)
      spans.push(...more)
      for (const span of more) processor.onEnd(span)
      const before = answers.length
      refusal = await processor.flush({ timeoutMillis: 1000 })
      refusals = answers.slice(before).filter(({ status }) => status === 503)
    } while ((refusal.status === 'success' || refusals.length < 3) && spans.length < 3000)

    expect(collector.log).toContain('Memory usage is above')
    expect(refusals.length).toBeGreaterThanOrEqual(3)
    const waits = refusals.slice(1).map(({ requestedAt }, i) => requestedAt - refusals[i]!.at)
    // A batch whose attempts are used up has its neighbour tried right after it.
    const atOnce = waits.filter((millis) => millis < 100 - TIMER_MILLIS)
    expect(atOnce.length).toBeLessThanOrEqual(waits.length / 2)
    // It gave up as its deadline came, or as the next attempt would have come after it.
    expect(refusal.status).toMatch(/^(timeout|failure)$/)
    expect(refusal.error?.code).toMatch(/^(timeout|http_status)$/)
    expect(refusal).toMatchObject({ failed: 0, dropped: 0 })
    expect(refusal.pending).toBeGreaterThan(0)
    expect(processor.stats()).toMatchObject({ failed: 0, rejected: 0, pending: refusal.pending })

    backend.accept()
    const flushed = await processor.flush(PATIENT)

    expect(flushed).toMatchObject({ status: 'success', pending: 0 })
    expect(processor.stats()).toMatchObject({ ended: spans.length, exported: spans.length })
    expect(answers.every(({ status }) => status === 200 || status === 503)).toBe(true)
    expect(await collector.stop()).toBe(0)
    expectSameSpans(backend.requests, spans)
  })

  it('B35: what it finds too large arrives in pieces, and only a span that is too large alone is dropped', async () => {
    const collector = await Collector.start({ http: { max_request_body_size: 150 * KIB } })
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter)
    const tooLarge = handMadeSpan({ attributes: { large: 'x'.repeat(200 * KIB) } })
    const spans = [...largeSpans(10, 0), ...variedSpans(500, 3)]
    for (const span of [...spans.slice(0, 5), tooLarge, ...spans.slice(5)]) processor.onEnd(span)

    const result = await processor.flush(PATIENT)

    expect(result).toMatchObject({ exported: 510, failed: 0, dropped: 1, pending: 0 })
    expect(processor.stats().dropped).toMatchObject({ span_too_large: 1 })
    await collector.stop()
    expectSameSpans(collector.written(), spans)
  })

  it('B32: a path that it does not know is a final answer, and the ledger says so', async () => {
    const collector = await Collector.start()
    const exporter = new OTLPTraceExporter({ url: collector.url.replace('/v1/traces', '/v1/spans') })
    const processor = watchedProcessor(exporter)
    processor.onEnd(handMadeSpan())

    const result = await processor.flush(PATIENT)

    expect(result).toMatchObject({
      status: 'failure',
      failed: 1,
      error: { code: 'http_status', status: 404 },
    })
    await collector.stop()
    expect(collector.written()).toEqual([])
  })
})
