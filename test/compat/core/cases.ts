/** What each case of the core suite must have come to: what the program saw, and what its backend did. */
import { expect } from 'vitest'
import type { Answer, Lane } from './backend.ts'
import type { Observed } from './program.ts'

/** What a runtime has. */
export interface Abilities {
  /** `CompressionStream` or `node:zlib`; without, requests travel uncompressed. */
  readonly gzip: boolean
  /** Timers that outlive the request which sets them; without, nothing is sent on a schedule. */
  readonly schedule: boolean
  /** The headers of a page are the browser's own. */
  readonly userAgent: boolean
}

/** One behaviour. */
export interface Case {
  /** In program.ts. */
  readonly name: string
  readonly title: string
  readonly answer?: Answer
  /** What a runtime must have; those that have not are said not to in the table. */
  readonly needs?: keyof Abilities
  readonly expect: (observed: Observed, lane: Lane, abilities: Abilities) => void
}

const names = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `span-${n + from}`)

/** What `deliverOne` of program.ts ended, as the official schema has it. */
function expectOne(observed: Observed, lane: Lane): void {
  expect(observed.results).toMatchObject([{ status: 'success', exported: 1, pending: 0 }])
  expect(lane.received).toHaveLength(1)
  const { resource, scopeSpans } = lane.received[0]!.request.resourceSpans[0]!
  expect(resource.attributes.map(({ key }) => key)).toContain('telemetry.sdk.name')
  expect(scopeSpans).toEqual([
    {
      scope: { name: 'core', version: '1.0', attributes: [] },
      schemaUrl: '',
      spans: [
        {
          traceId: observed.traceId,
          spanId: observed.spanId,
          parentSpanId: observed.parentSpanId,
          traceState: '',
          flags: 0x101,
          name: 'Füller 傘',
          kind: 3,
          startTimeUnixNano: '1700000000123456789',
          endTimeUnixNano: '1700000001000000005',
          attributes: [
            { key: 'text', value: { stringValue: '傘\n"' } },
            { key: 'int', value: { intValue: '7' } },
            { key: 'double', value: { doubleValue: 0.5 } },
            { key: 'yes', value: { boolValue: true } },
            {
              key: 'list',
              value: { arrayValue: { values: [{ stringValue: 'a' }, { stringValue: 'b' }] } },
            },
            {
              key: 'numbers',
              value: { arrayValue: { values: [{ intValue: '1' }, { doubleValue: 2.5 }] } },
            },
          ],
          droppedAttributesCount: 0,
          events: [
            {
              timeUnixNano: '1700000000200000000',
              name: 'lit',
              attributes: [{ key: 'left', value: { intValue: '3' } }],
              droppedAttributesCount: 0,
            },
          ],
          droppedEventsCount: 0,
          links: [
            {
              traceId: '1'.repeat(32),
              spanId: '2'.repeat(16),
              traceState: '',
              attributes: [{ key: 'why', value: { stringValue: 'because' } }],
              droppedAttributesCount: 0,
              flags: 0x101,
            },
          ],
          droppedLinksCount: 0,
          status: { code: 2, message: 'declined' },
        },
      ],
    },
  ])
}

export const CASES: readonly Case[] = [
  {
    name: 'protobuf',
    title: 'B42: protobuf arrives as it went in, by the official schema',
    expect(observed, lane, { userAgent }) {
      expectOne(observed, lane)
      expect(lane.received[0]).toMatchObject({ contentType: 'application/x-protobuf' })
      if (userAgent)
        expect(lane.received[0]!.userAgent).toMatch(/^tailrace\/\S+ OTel-OTLP-Exporter-JavaScript\//)
    },
  },
  {
    name: 'json',
    title: 'B42: JSON arrives as it went in',
    expect(observed, lane) {
      expectOne(observed, lane)
      expect(lane.received[0]).toMatchObject({ contentType: 'application/json' })
    },
  },
  {
    name: 'gzip',
    title: 'B37: gzip where the runtime has it, uncompressed where it has not',
    expect(observed, lane, { gzip }) {
      expectOne(observed, lane)
      expect(lane.received[0]!.contentEncoding).toBe(gzip ? 'gzip' : undefined)
    },
  },
  {
    name: 'batches',
    title: 'B4: 200 spans leave in four requests, in order, never two at once',
    answer: () => ({ status: 200, delayMillis: 20 }),
    expect(observed, lane) {
      expect(observed.results).toMatchObject([{ status: 'success', exported: 200 }])
      expect(lane.names).toEqual(names(200))
      expect([lane.received.length, lane.mostInFlight]).toEqual([4, 1])
    },
  },
  {
    name: 'overflow',
    title: 'B15: a full queue drops the oldest, and counts them',
    expect(observed, lane) {
      expect(lane.names).toEqual(names(4, 6))
      expect(observed.stats).toMatchObject({ ended: 10, exported: 4, dropped: { queue_full: 6 } })
    },
  },
  {
    name: 'joined-flushes',
    title: 'B2: two flushes are one request, and both have all of it',
    answer: () => ({ status: 200, delayMillis: 20 }),
    expect(observed, lane) {
      expect(lane.received).toHaveLength(1)
      expect(observed.results).toMatchObject([{ exported: 3 }, { exported: 3 }])
    },
  },
  {
    name: 'retry',
    title: 'B32: a 503 is retried, and delivered once',
    answer: (_spans, earlier) => ({ status: earlier < 2 ? 503 : 200 }),
    expect(observed, lane) {
      expect(lane.received.map(({ status }) => status)).toEqual([503, 503, 200])
      expect(lane.names).toEqual(names(2))
      expect(observed.results).toMatchObject([{ status: 'success', exported: 2 }])
    },
  },
  {
    name: 'final',
    title: 'B32: a 400 is final',
    answer: () => ({ status: 400 }),
    expect(observed, lane) {
      expect(lane.received).toHaveLength(1)
      expect(observed.results).toMatchObject([{ status: 'failure', failed: 2, pending: 0 }])
      expect(observed.code).toBe('http_status')
    },
  },
  {
    name: 'too-large',
    title: 'B35: a 413 is halved',
    answer: (spans) => ({ status: spans > 2 ? 413 : 200 }),
    expect(observed, lane) {
      expect(lane.received.map(({ spans }) => spans.length)).toEqual([4, 2, 2])
      expect(lane.names).toEqual(names(4))
      expect(observed.stats).toMatchObject({ exported: 4 })
    },
  },
  {
    name: 'partial-success',
    title: 'B36: a partial success counts what was rejected, and is not sent again',
    // ExportTraceServiceResponse { partial_success { rejected_spans: 1 } }
    answer: () => ({ status: 200, body: Uint8Array.of(0x0a, 2, 0x08, 1) }),
    expect(observed, lane) {
      expect(lane.received).toHaveLength(1)
      expect(observed.results).toMatchObject([{ exported: 2, rejected: 1 }])
    },
  },
  {
    name: 'breaker',
    title: 'B38: an open circuit breaker answers at once, and keeps the spans',
    answer: () => ({ status: 503 }),
    expect(observed, lane) {
      expect(lane.received).toHaveLength(1)
      expect(observed.results).toMatchObject([{ pending: 1 }, { status: 'failure', pending: 1 }])
      expect(observed.code).toBe('circuit_open')
    },
  },
  {
    name: 'flush-deadline',
    title: 'B8: a flush keeps its deadline in front of a backend that never answers',
    answer: () => 'never',
    expect(observed) {
      expect(observed.results).toMatchObject([{ status: 'timeout', pending: 1 }])
      expect(observed.results![0]!.durationMillis).toBeGreaterThan(250)
      expect(observed.results![0]!.durationMillis).toBeLessThan(5000)
    },
  },
  {
    name: 'aborted-flush',
    title: 'B9: a signal ends the wait at once',
    answer: () => 'never',
    expect(observed) {
      expect(observed.results).toMatchObject([{ pending: 1 }])
      expect(observed.results![0]!.durationMillis).toBeLessThan(5000)
    },
  },
  {
    name: 'shutdown',
    title: 'B11: shutdown delivers, twice is once, and what ends later is counted',
    expect(observed, lane) {
      expect(lane.names).toEqual(names(2))
      expect(observed.stats).toMatchObject({ ended: 3, exported: 2, dropped: { already_shutdown: 1 } })
    },
  },
  {
    name: 'shutdown-deadline',
    title: 'B11: shutdown keeps its deadline, and counts what it gives up',
    answer: () => 'never',
    expect(observed) {
      expect(observed.stats).toMatchObject({ ended: 1, pending: 0, dropped: { shutdown_timeout: 1 } })
    },
  },
  {
    name: 'refused',
    title: 'B10: a flush never throws when nobody listens, and keeps the span',
    expect(observed) {
      expect(observed.stats).toMatchObject({ ended: 1, pending: 1 })
    },
  },
  {
    name: 'schedule',
    title: 'B25: spans are sent on schedule, without a flush',
    needs: 'schedule',
    expect(observed, lane) {
      expect(lane.names).toEqual(names(2))
      expect(observed.stats).toMatchObject({ exported: 2 })
    },
  },
  {
    name: 'encode-error',
    title: 'B44: a span that cannot be encoded is dropped alone',
    expect(observed, lane) {
      expect(lane.names).toEqual(names(1))
      expect(observed.stats).toMatchObject({ ended: 2, exported: 1, dropped: { encode_error: 1 } })
    },
  },
  {
    name: 'unsampled',
    title: 'B20: what is not sampled is not counted',
    expect: ({ stats }) => expect(stats).toMatchObject({ ended: 0, pending: 0 }),
  },
  {
    name: 'json-lines',
    title: 'B62: JSON lines are OTLP',
    expect(observed) {
      const lines = observed.lines as string[]
      const written = lines.map((line) => JSON.parse(line).resourceSpans[0].scopeSpans[0].spans)
      expect(written.flat()).toMatchObject([{ name: 'span-0' }, { name: 'span-1' }])
    },
  },
  {
    name: 'span-objects',
    title: 'B28: exporters of others under our processor, and ours without it',
    expect(observed, lane) {
      expect(observed).toMatchObject({ names: names(2), codes: [0, 0] })
      expect(lane.names.toSorted()).toEqual(names(2))
      expect(observed.stats).toMatchObject({ exported: 2 })
    },
  },
]
