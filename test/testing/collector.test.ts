import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import { InMemoryCollector } from '../../src/testing/collector.ts'
import { readSpans } from '../../src/testing/spans.ts'
import { senderOf } from '../helpers/attempts.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { decodeProtobuf, type OtlpAttribute, type OtlpValue } from '../helpers/otlp-schema.ts'
import { end, spanNamed } from '../helpers/processors.ts'
import { encodeAll } from '../helpers/records.ts'
import { spans as anySpan, SCOPE } from '../helpers/spans.ts'

function processorFor(collector: InMemoryCollector, options: OTLPTraceExporterOptions = {}) {
  return watchedProcessor(new OTLPTraceExporter({ fetch: collector.fetch, ...options }), {
    scheduledDelayMillis: 0,
    retry: { initialBackoffMillis: 5 },
    circuitBreaker: false,
  })
}

test.each([
  ['protobuf', 'none'],
  ['protobuf', 'gzip'],
  ['json', 'none'],
  ['json', 'gzip'],
] as const)('it reads %s with compression %s', async (encoding, compression) => {
  const collector = new InMemoryCollector()
  const processor = processorFor(collector, { encoding, compression, headers: { 'X-Tenant': 'a' } })
  processor.onEnd(
    spanNamed('checkout', {
      kind: SpanKind.CLIENT,
      attributes: { 'shop.id': 7, ratio: 0.5, ok: true, list: ['a', 'b'], big: 2 ** 60, __proto: 'x' },
      status: { code: SpanStatusCode.ERROR, message: 'declined' },
      events: [{ time: [1, 2], name: 'retry', attributes: { n: 1 } }],
    }),
  )
  expect((await processor.flush()).status).toBe('success')
  expect(collector.spans).toHaveLength(1)
  expect(collector.spans[0]).toMatchObject({
    name: 'checkout',
    kind: SpanKind.CLIENT,
    parentSpanId: '',
    attributes: { 'shop.id': 7, ratio: 0.5, ok: true, list: ['a', 'b'], big: 2n ** 60n },
    status: { code: SpanStatusCode.ERROR, message: 'declined' },
    events: [{ name: 'retry', timeUnixNano: 1_000_000_002n, attributes: { n: 1 } }],
    resource: { attributes: { 'service.name': 'shop' } },
    scope: { name: SCOPE.name, version: SCOPE.version, attributes: SCOPE.attributes },
  })
  expect(collector.requests[0]).toMatchObject({
    headers: { 'x-tenant': 'a' },
    answer: { kind: 'accept' },
    spans: [{ name: 'checkout' }],
  })
})

test('what it reads from protobuf is what it reads from JSON, and what the official schema reads', () => {
  const protobuf = senderOf({ encoding: 'protobuf' })
  const json = senderOf({ encoding: 'json' })
  fc.assert(
    fc.property(fc.array(anySpan, { minLength: 1, maxLength: 4 }), (spans) => {
      const body = encodeAll(protobuf.createEncoder(), spans)
      const ours = readSpans(body, 'application/x-protobuf')
      expect(ours).toEqual(readSpans(encodeAll(json.createEncoder(), spans), 'application/json'))
      const theirs = decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
        scopeSpans.flatMap((scope) => scope.spans),
      )
      expect(ours).toHaveLength(theirs.length)
      theirs.forEach((span, index) => {
        const read = ours[index]!
        expect({ ...read, kind: read.kind + 1 }).toMatchObject({
          traceId: span.traceId,
          spanId: span.spanId,
          parentSpanId: span.parentSpanId,
          traceState: span.traceState,
          flags: span.flags,
          name: span.name,
          kind: Math.max(1, span.kind),
          startTimeUnixNano: BigInt(span.startTimeUnixNano),
          endTimeUnixNano: BigInt(span.endTimeUnixNano),
          droppedAttributesCount: span.droppedAttributesCount,
          droppedEventsCount: span.droppedEventsCount,
          droppedLinksCount: span.droppedLinksCount,
        })
        expect(read.status.code).toBe(span.status.code)
        expect(read.attributes).toEqual(plain(span.attributes))
        expect(read.events.map(({ name, attributes }) => [name, attributes])).toEqual(
          span.events.map(({ name, attributes }) => [name, plain(attributes)]),
        )
        expect(read.links.map(({ spanId, attributes }) => [spanId, attributes])).toEqual(
          span.links.map(({ spanId, attributes }) => [spanId, plain(attributes)]),
        )
      })
    }),
    { numRuns: 40 },
  )
}, 60_000)

function plain(attributes: OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]))
}

function plainValue(value: OtlpValue): unknown {
  if ('intValue' in value) {
    const number = Number(value.intValue)
    return Number.isSafeInteger(number) ? number : BigInt(value.intValue as string)
  }
  if ('arrayValue' in value) return (value.arrayValue as { values: OtlpValue[] }).values.map(plainValue)
  if ('kvlistValue' in value) return plain((value.kvlistValue as { values: OtlpAttribute[] }).values)
  if ('bytesValue' in value) return new Uint8Array(Buffer.from(value.bytesValue as string, 'base64'))
  return Object.values(value)[0] ?? null
}

describe('it fails on command', () => {
  test('a status, with Retry-After, is what the exporter sees, and the spans are not taken', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector)
    collector.script({ kind: 'status', status: 503, retryAfter: 1 })
    end(processor, 'a')
    const startedAt = performance.now()
    expect((await processor.flush({ timeoutMillis: 5000 })).status).toBe('success')
    expect(performance.now() - startedAt).toBeGreaterThan(900)
    expect(collector.requests.map(({ answer }) => answer.kind)).toEqual(['status', 'accept'])
    expect(collector.spans.map(({ name }) => name)).toEqual(['a'])
  })

  test('a final status fails the batch', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector)
    collector.script({ kind: 'status', status: 400 })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ status: 'failure', failed: 1, error: { status: 400 } })
    expect(collector.spans).toEqual([])
  })

  test('a request that hangs ends when it is aborted', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector, { attemptTimeoutMillis: 50 })
    collector.script({ kind: 'hang' })
    end(processor, 'a')
    expect((await processor.flush()).status).toBe('success')
    expect(collector.requests).toHaveLength(2)
    expect(collector.spans).toHaveLength(1)
  })

  test('without a connection the request is sent again, and taken once', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector)
    collector.script({ kind: 'network_error' })
    end(processor, 'a')
    expect((await processor.flush()).status).toBe('success')
    expect(collector.spans).toHaveLength(1)
  })

  test('a connection that breaks after the spans were taken doubles them', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector)
    collector.script({ kind: 'network_error', afterTaking: true })
    end(processor, 'a')
    expect((await processor.flush()).status).toBe('success')
    expect(collector.spans.map(({ name }) => name)).toEqual(['a', 'a'])
  })

  test.each(['protobuf', 'json'] as const)(
    'partial success rejects the last spans (%s)',
    async (encoding) => {
      const collector = new InMemoryCollector()
      const processor = processorFor(collector, { encoding })
      collector.script({ kind: 'partial_success', rejectedSpans: 2, errorMessage: 'too old' })
      end(processor, 'a', 'b', 'c')
      const result = await processor.flush()
      expect(result).toMatchObject({ exported: 1, rejected: 2, error: { code: 'partial_success' } })
      expect(result.error?.message).toContain('too old')
      expect(collector.spans.map(({ name }) => name)).toEqual(['a'])
    },
  )

  test('an outage lasts until it is over', async () => {
    const collector = new InMemoryCollector()
    const processor = processorFor(collector)
    collector.otherwise({ kind: 'network_error' })
    end(processor, 'a')
    expect((await processor.flush({ timeoutMillis: 50 })).pending).toBe(1)
    collector.otherwise()
    expect((await processor.flush()).status).toBe('success')
  })

  test('a delay comes before the answer, and an abort cuts it short', async () => {
    const collector = new InMemoryCollector()
    collector.otherwise({ kind: 'accept', delayMillis: 60_000 })
    const request = collector.fetch('http://collector/v1/traces', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
      signal: AbortSignal.timeout(30),
    })
    await expect(request).rejects.toMatchObject({ name: 'TimeoutError' })
  })
})

test('what is no OTLP request is answered with 400', async () => {
  const collector = new InMemoryCollector()
  for (const [type, body] of [
    ['application/x-protobuf', Uint8Array.of(0x0a, 0x7f)],
    ['application/json', 'not JSON'],
    ['text/plain', 'hello'],
  ] as const) {
    const init = { method: 'POST', headers: { 'content-type': type }, body: body as BodyInit }
    expect((await collector.fetch('http://collector/v1/traces', init)).status).toBe(400)
  }
  expect(collector.spans).toEqual([])
})

test('whenSpans and whenRequests settle when so many have come; reset forgets everything', async () => {
  const collector = new InMemoryCollector()
  const processor = processorFor(collector)
  const settled = vi.fn()
  void Promise.all([collector.whenSpans(2), collector.whenRequests(2)]).then(settled)
  end(processor, 'a')
  await processor.flush()
  expect(settled).not.toHaveBeenCalled()
  end(processor, 'b')
  await processor.flush()
  expect(settled).toHaveBeenCalledTimes(1)
  collector.script({ kind: 'hang' })
  collector.reset()
  end(processor, 'c')
  await processor.flush()
  expect(collector.spans.map(({ name }) => name)).toEqual(['c'])
})
