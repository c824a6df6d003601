/** What both encoders must do; each of the test files adds what only its format can say. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createTraceState, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { resourceFromAttributes } from '@opentelemetry/resources'
import type { ReadableSpan as SdkSpan } from '@opentelemetry/sdk-trace-base'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  FLAG_ERROR,
  FLAG_LOCAL_ROOT,
  type ReadableSpan,
  type Resource,
  type SpanEncoder,
} from '../../src/types.ts'
import { expectedAttributes, expectedRequest, expectedSpan } from './expected-otlp.ts'
import { decodeProtobuf, type OtlpRequest, type OtlpSpan, type OtlpValue } from './otlp-schema.ts'
import { allocateUsed, encodeAll, part, RecordCollector } from './records.ts'
import {
  attributes as attributesOf,
  handMadeSpan,
  handMadeSpan1,
  PARENT_SPAN_ID,
  RESOURCE,
  SCOPE,
  SPAN_ID,
  sdk1Spans,
  sdkSpans,
  spans,
  TRACE_ID,
  values,
} from './spans.ts'

/** A request with everything but its spans, and the spans. */
function spansOf(request: OtlpRequest): OtlpSpan[] {
  return request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
}

function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  gc()
  const { heapUsed: heap, arrayBuffers, external } = process.memoryUsage()
  return heap + arrayBuffers + external
}

/** A cyclic value. */
function cyclic(): unknown[] {
  const cycle: unknown[] = []
  cycle.push({ cycle })
  return cycle
}

function nested(depth: number): unknown {
  let value: unknown = 'innermost'
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { value }
  return value
}

/** A span of which the last attribute throws when it is read. */
function throwingSpan(): ReadableSpan {
  const attributes = {
    'http.route': '/written/before/the/throw',
    get bad(): string {
      throw new Error('a getter threw')
    },
  }
  return handMadeSpan({ attributes })
}

export function describeEncoder(create: () => SpanEncoder, decode: (body: Uint8Array) => OtlpRequest): void {
  /** Encodes one span and decodes it. */
  const roundTrip = (span: ReadableSpan, encoder = create()): OtlpSpan =>
    spansOf(decode(encodeAll(encoder, [span])))[0]!
  const otlpValueOf = (value: unknown): OtlpValue =>
    roundTrip(handMadeSpan({ attributes: { value } })).attributes[0]!.value

  describe('spans', () => {
    it('B42: what is decoded is exactly the span that went in', () => {
      fc.assert(
        fc.property(fc.array(spans, { maxLength: 6 }), fc.constantFrom(0, 3), (batch, gap) => {
          expect(decode(encodeAll(create(), batch, gap))).toEqual(expectedRequest(batch))
        }),
        { numRuns: 300 },
      )
    })

    it('B42: the same with an encoder that has seen all the other spans', () => {
      const encoder = create()
      fc.assert(
        fc.property(fc.array(spans, { maxLength: 6 }), (batch) => {
          expect(spansOf(decode(encodeAll(encoder, batch))).toSorted(byContent)).toEqual(
            batch.map(expectedSpan).toSorted(byContent),
          )
        }),
        { numRuns: 300 },
      )
      function byContent(a: OtlpSpan, b: OtlpSpan): number {
        return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1
      }
    })

    it('B42: spans of one name that differ a little from each other do not mix', () => {
      const changes = fc.record({
        removed: fc.array(fc.nat(20), { maxLength: 2 }),
        changed: fc.array(fc.tuple(fc.nat(20), values), { maxLength: 4 }),
        added: fc.oneof(fc.constant({}), attributesOf),
        isReversed: fc.boolean(),
        kind: fc.constantFrom(SpanKind.SERVER, SpanKind.SERVER, SpanKind.SERVER, SpanKind.CLIENT),
      })
      fc.assert(
        fc.property(attributesOf, fc.array(changes, { minLength: 1, maxLength: 40 }), (base, variations) => {
          const batch = variations.map(({ removed, changed, added, isReversed, kind }) => {
            let entries = Object.entries(base)
            for (const [index, value] of changed)
              if (index < entries.length) entries[index]![1] = value as string
            entries = entries.filter((_, index) => !removed.includes(index))
            if (isReversed) entries.reverse()
            const attributes = Object.fromEntries([...entries, ...Object.entries(added)])
            return handMadeSpan({ kind, attributes })
          })
          const encoder = create()
          // Twice, so that what was learnt from the first time is used the second.
          for (let round = 0; round < 2; round++) {
            expect(decode(encodeAll(encoder, batch))).toEqual(expectedRequest(batch))
          }
        }),
        { numRuns: 150 },
      )
    })

    it('B42: a value that stays, varies little, or is always new, is right in every one of 2,000 spans', () => {
      const batch = Array.from({ length: 2_000 }, (_, i) =>
        handMadeSpan({
          attributes: {
            same: 'a value that is always the same',
            few: `one of a few, ${'é'.repeat(i % 5)}`,
            long: `${i % 3} `.repeat(60),
            growing: 'x'.repeat(i % 140),
            // The length of the whole attribute comes to need a second byte, though that of the value does not.
            ['a long key '.repeat(8)]: 'y'.repeat(i % 50),
            ['a longer key '.repeat(10)]: i,
            always: `always new ${i * 7919}`,
            sign: i % 2 === 0 ? 0 : -0,
            number: i % 7 === 0 ? 200 : i / 3,
            flag: i % 11 === 0,
            list: [i],
            ...(i % 13 === 0 ? { sometimes: i } : undefined),
            last: 'the last one',
          },
        }),
      )
      expect(decode(encodeAll(create(), batch))).toEqual(expectedRequest(batch))
    })

    it('B42: the spans that the SDK makes are decoded to what the stock serializer sends', () => {
      const batch = sdkSpans(60)
      const stock = ProtobufTraceSerializer.serializeRequest(batch as unknown as SdkSpan[])!
      expect(decode(encodeAll(create(), batch))).toEqual(decodeProtobuf(stock))
    })

    it('B46: the spans of SDK 1.30 and 2.12 have everything', () => {
      for (const batch of [sdk1Spans(20), sdkSpans(20)]) {
        expect(decode(encodeAll(create(), batch))).toEqual(expectedRequest(batch))
      }
    })

    it('B45: flags say what the trace says, and whether the parent, or the linked span, is remote', () => {
      const parent = { traceId: TRACE_ID, spanId: PARENT_SPAN_ID, traceFlags: 0 }
      const context = { traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: 0x1ff }
      const links = [{ context: { ...context, isRemote: true } }, { context }]
      const flags = (parts: object) => roundTrip(handMadeSpan({ spanContext: () => context, ...parts })).flags
      expect(flags({ parentSpanContext: { ...parent, isRemote: true } })).toBe(0x3ff)
      expect(flags({ parentSpanContext: { ...parent, isRemote: false } })).toBe(0x1ff)
      expect(flags({ parentSpanContext: undefined })).toBe(0x1ff)
      expect(roundTrip(handMadeSpan1()).flags).toBe(0x101)
      expect(roundTrip(handMadeSpan({ links })).links.map((link) => link.flags)).toEqual([0x3ff, 0x1ff])
    })

    it('B45: dropped counts, trace state, schema URLs, links, events, status and kind are there', () => {
      const context = {
        traceId: TRACE_ID,
        spanId: SPAN_ID,
        traceFlags: 1,
        traceState: createTraceState('a=b'),
      }
      const span = handMadeSpan({
        kind: SpanKind.CONSUMER,
        spanContext: () => context,
        events: [
          { time: [1, 2], name: 'event', attributes: { a: 1 }, droppedAttributesCount: 4_294_967_295 },
        ],
        links: [{ context, attributes: { b: 2 }, droppedAttributesCount: 6 }],
        status: { code: SpanStatusCode.ERROR, message: 'broken' },
        droppedAttributesCount: 7,
        droppedEventsCount: 128,
        droppedLinksCount: 65_536,
      })
      const request = decode(encodeAll(create(), [span]))
      expect(request.resourceSpans[0]!.schemaUrl).toBe(RESOURCE.schemaUrl)
      expect(request.resourceSpans[0]!.scopeSpans[0]!.schemaUrl).toBe(SCOPE.schemaUrl)
      expect(request).toEqual(expectedRequest([span]))
    })

    it('records say whether the span is a local root or has failed, and the same of spans of one trace', () => {
      const records = new RecordCollector()
      const encoder = create()
      const remote = { traceId: TRACE_ID, spanId: PARENT_SPAN_ID, traceFlags: 1, isRemote: true }
      for (const parts of [
        {},
        { parentSpanContext: undefined },
        { parentSpanContext: remote },
        { status: { code: SpanStatusCode.ERROR } },
        { status: { code: SpanStatusCode.OK, message: 'fine' } },
        { parentSpanContext: { ...remote, spanId: '0000000000000000', isRemote: false } },
      ]) {
        encoder.encode(handMadeSpan(parts), records)
      }
      encoder.encode(handMadeSpan1({ parentSpanId: undefined }), records)
      encoder.encode(handMadeSpan1(), records)
      expect(records.flags).toEqual([
        0,
        FLAG_LOCAL_ROOT,
        FLAG_LOCAL_ROOT,
        FLAG_ERROR,
        0,
        FLAG_LOCAL_ROOT,
        FLAG_LOCAL_ROOT,
        0,
      ])
      expect(new Set(records.traceHashes).size).toBe(1)
      expect(Number.isInteger(records.traceHashes[0])).toBe(true)
    })
  })

  describe('values', () => {
    it('B43: integers, doubles and what lies between them are exact', () => {
      for (const value of [0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 53, -(2 ** 53), 2 ** 62, -(2 ** 63)]) {
        expect(otlpValueOf(value)).toEqual({ intValue: String(BigInt(value)) })
      }
      for (const value of [
        -0,
        0.1,
        1e300,
        2 ** 63,
        -(2 ** 63) - 2048,
        Number.NaN,
        Infinity,
        -Infinity,
        5e-324,
      ]) {
        expect(otlpValueOf(value)).toEqual({ doubleValue: value })
      }
    })

    it('B43: lone surrogates become U+FFFD, and everything else in a string stays', () => {
      expect(otlpValueOf('a\ud800b\udc00')).toEqual({ stringValue: 'a\ufffdb\ufffd' })
      expect(otlpValueOf(`${'x'.repeat(80)}\ud83e`)).toEqual({ stringValue: `${'x'.repeat(80)}\ufffd` })
      const everything = Array.from({ length: 0xd800 }, (_, code) => String.fromCharCode(code)).join('')
      expect(otlpValueOf(everything)).toEqual({ stringValue: everything })
      expect(otlpValueOf('\\ud800 "quoted"\u0000\n'.repeat(9))).toEqual({
        stringValue: '\\ud800 "quoted"\u0000\n'.repeat(9),
      })
    })

    it('B43: empty strings, arrays, maps, bytes and values are there', () => {
      expect(otlpValueOf('')).toEqual({ stringValue: '' })
      expect(otlpValueOf([])).toEqual({ arrayValue: { values: [] } })
      expect(otlpValueOf({})).toEqual({ kvlistValue: { values: [] } })
      expect(otlpValueOf(new Uint8Array())).toEqual({ bytesValue: '' })
      expect(otlpValueOf(null)).toEqual({})
      expect(otlpValueOf(undefined)).toEqual({})
      expect(otlpValueOf(['a', null, 1, undefined, [true, [2.5]], { b: null }])).toEqual({
        arrayValue: {
          values: [
            { stringValue: 'a' },
            {},
            { intValue: '1' },
            {},
            {
              arrayValue: {
                values: [{ boolValue: true }, { arrayValue: { values: [{ doubleValue: 2.5 }] } }],
              },
            },
            { kvlistValue: { values: [{ key: 'b', value: {} }] } },
          ],
        },
      })
    })

    it('B43: bytes of any length, and views of part of a buffer', () => {
      const all = Uint8Array.from({ length: 300 }, (_, i) => i)
      for (const bytes of [
        all,
        all.subarray(3, 4),
        all.subarray(3, 5),
        all.subarray(3, 6),
        Buffer.from(all),
      ]) {
        expect(otlpValueOf(bytes)).toEqual({ bytesValue: Buffer.from(bytes).toString('base64') })
      }
    })

    it('B44: what OTLP has no type for becomes the nearest that it has', () => {
      expect(otlpValueOf(2n ** 63n - 1n)).toEqual({ intValue: '9223372036854775807' })
      expect(otlpValueOf(-(2n ** 63n))).toEqual({ intValue: '-9223372036854775808' })
      expect(otlpValueOf(2n ** 63n)).toEqual({ stringValue: '9223372036854775808' })
      expect(otlpValueOf(new Date(0))).toEqual({ stringValue: '1970-01-01T00:00:00.000Z' })
      expect(otlpValueOf(new Date(Number.NaN))).toEqual({ stringValue: 'Invalid Date' })
      expect(
        otlpValueOf(
          new Map<unknown, unknown>([
            ['a', 1],
            [2, 'b'],
          ]),
        ),
      ).toEqual(expectedValueOf({ 2: 'b', a: 1 }))
      expect(otlpValueOf(new Set(['a', 1]))).toEqual(expectedValueOf(['a', 1]))
      expect(otlpValueOf(new Float32Array([0.5, 2]))).toEqual(expectedValueOf([0.5, 2]))
      expect(otlpValueOf(new BigInt64Array([3n]))).toEqual(expectedValueOf([3]))
      for (const value of [Symbol('s'), () => 1, class {}]) expect(otlpValueOf(value)).toEqual({})
      function expectedValueOf(value: unknown): OtlpValue {
        return expectedAttributes({ value: value as string })[0]!.value
      }
    })

    it('B44: 30 levels are encoded, 31 are too deep', () => {
      const value = nested(30)
      expect(roundTrip(handMadeSpan({ attributes: { value } })).attributes).toEqual(
        expectedAttributes({ value: value as string }),
      )
      // What takes most levels of messages: maps within an event. Many decoders stop at 100.
      let maps: unknown = 1
      for (let i = 0; i < 30; i++) maps = { maps }
      const events = [{ time: [1, 2], name: 'e', attributes: { maps } }]
      expect(roundTrip(handMadeSpan({ events })).events[0]!.attributes).toEqual(
        expectedAttributes({ maps: maps as string }),
      )
      expect(() => roundTrip(handMadeSpan({ attributes: { value: nested(31) } }))).toThrow(/deeper than 30/)
    })

    it('B59: what a prototype has been given is no attribute, and a key named __proto__ is one', () => {
      const attributes = JSON.parse(
        '{"__proto__": "own", "constructor": "too", "nested": {"__proto__": {"a": 1}}}',
      )
      Object.defineProperty(Object.prototype, 'polluted', {
        value: 'yes',
        enumerable: true,
        configurable: true,
        writable: true,
      })
      try {
        const encoder = create()
        // More than once: the template must say so too.
        for (let i = 0; i < 5; i++) {
          expect(roundTrip(handMadeSpan({ attributes }), encoder).attributes).toEqual([
            { key: '__proto__', value: { stringValue: 'own' } },
            { key: 'constructor', value: { stringValue: 'too' } },
            {
              key: 'nested',
              value: {
                kvlistValue: {
                  values: [
                    {
                      key: '__proto__',
                      value: { kvlistValue: { values: [{ key: 'a', value: { intValue: '1' } }] } },
                    },
                  ],
                },
              },
            },
          ])
        }
      } finally {
        Reflect.deleteProperty(Object.prototype, 'polluted')
      }
    })
  })

  describe('hostile and broken spans', () => {
    const impossible: [string, () => ReadableSpan][] = [
      ['a cycle', () => handMadeSpan({ attributes: { cycle: cyclic() } })],
      ['20,000 levels', () => handMadeSpan({ attributes: { deep: nested(20_000) } })],
      ['a getter that throws', throwingSpan],
      [
        'an event of which the attributes throw',
        () => handMadeSpan({ events: [{ time: [1, 2], name: 'e', attributes: { cycle: cyclic() } }] }),
      ],
      [
        'a context that throws',
        () =>
          handMadeSpan({
            spanContext: () => {
              throw new Error('no context')
            },
          }),
      ],
      ['an event that is null', () => handMadeSpan({ events: [null] })],
    ]
    for (const [name, make] of impossible) {
      it(`B44: ${name} throws, appends nothing, and spoils no other span`, { timeout: 30_000 }, () => {
        const encoder = create()
        const records = new RecordCollector()
        for (let i = 0; i < 4; i++) {
          encoder.encode(handMadeSpan(), records)
          expect(() => encoder.encode(make(), records)).toThrow(Error)
        }
        expect(spansOf(decode(encoder.frame(records.table(), allocateUsed)))).toEqual(
          Array.from({ length: 4 }, () => expectedSpan(handMadeSpan())),
        )
      })
    }

    it('B44: an array without end throws instead of filling the memory', { timeout: 60_000 }, () => {
      const span = handMadeSpan({ attributes: { endless: new Array(2 ** 32 - 1) } })
      expect(() => create().encode(span, new RecordCollector())).toThrow(RangeError)
    })

    it('B44: the message of a value that nests too deep says so', () => {
      expect(() =>
        create().encode(handMadeSpan({ attributes: { cycle: cyclic() } }), new RecordCollector()),
      ).toThrow(/nested deeper than 30 levels/)
    })

    it('B44: fields that hand-made spans leave out, or fill with nonsense, are sanitised', () => {
      const { resource: _resource, ...withoutResource } = handMadeSpan()
      const span = {
        ...withoutResource,
        name: undefined,
        kind: undefined,
        startTime: [Number.NaN, Number.NaN],
        endTime: [-5, 3],
        status: undefined,
        attributes: undefined,
        links: undefined,
        events: undefined,
        instrumentationScope: undefined,
        droppedAttributesCount: Number.NaN,
        droppedEventsCount: -1,
        droppedLinksCount: undefined,
      } as unknown as ReadableSpan
      const request = decode(encodeAll(create(), [span, span, span]))
      expect(request.resourceSpans).toHaveLength(1)
      expect(request.resourceSpans[0]!.scopeSpans[0]!.scope).toEqual({
        name: '',
        version: '',
        attributes: [],
      })
      for (const decoded of spansOf(request)) {
        expect(decoded).toEqual({
          ...expectedSpan(handMadeSpan({ attributes: {} })),
          name: '',
          kind: 0,
          startTimeUnixNano: '0',
          endTimeUnixNano: '0',
        })
      }
    })

    it('B44: times are whole nanoseconds between 1970 and what 64 bits hold', () => {
      const time = (startTime: unknown) => roundTrip(handMadeSpan({ startTime })).startTimeUnixNano
      expect(time([1_760_000_000, 999_999_999])).toBe('1760000000999999999')
      expect(time([18_446_744_072, 999_999_999])).toBe('18446744072999999999')
      expect(time([4, 294_967_295])).toBe('4294967295')
      expect(time([4, 294_967_296])).toBe('4294967296')
      expect(time([0, 5])).toBe('5')
      expect(time([1, 2_500_000_000])).toBe('3500000000')
      expect(time([1, -1])).toBe('999999999')
      expect(time([1.5, 7.9])).toBe('1000000007')
      expect(time([1, Number.NaN])).toBe('1000000000')
      for (const nonsense of [[Infinity, 0], [1e20, 0], [0, -1], [], undefined, null, 'now', [1, Infinity]]) {
        expect(Number(time(nonsense))).toBeLessThanOrEqual(1_000_000_000)
      }
    })

    it('B44: ids that are none are left out, whatever they are', () => {
      const nonsense = [
        '',
        'xyz',
        '0'.repeat(32),
        'g'.repeat(32),
        TRACE_ID.slice(1),
        `${TRACE_ID}00`,
        'é'.repeat(32),
        `${'4'.repeat(31)}\u0134`,
        7,
        null,
        undefined,
      ]
      for (const id of nonsense) {
        const context = { traceId: id, spanId: id, traceFlags: 1 }
        const span = handMadeSpan({
          spanContext: () => context,
          parentSpanContext: context,
          links: [{ context }],
        })
        const decoded = roundTrip(span)
        expect([decoded.traceId, decoded.spanId, decoded.parentSpanId]).toEqual(['', '', ''])
        expect([decoded.links[0]!.traceId, decoded.links[0]!.spanId]).toEqual(['', ''])
      }
      expect(
        roundTrip(
          handMadeSpan({ parentSpanContext: { ...handMadeSpan().spanContext(), spanId: '0'.repeat(16) } }),
        ).parentSpanId,
      ).toBe('')
    })

    it('B44: a name, a message or a schema URL that is no string becomes one', () => {
      const decoded = roundTrip(
        handMadeSpan({ name: 42, status: { code: 2, message: { toString: () => 'oh' } } }),
      )
      expect([decoded.name, decoded.status]).toEqual(['42', { code: 2, message: 'oh' }])
    })

    it('B44: 20 MB in one string are encoded, and not kept', () => {
      const encoder = create()
      const value = 'naïve '.repeat(3_500_000)
      expect(value.charCodeAt(2)).toBe(0xef)
      const before = heapUsed()
      expect(roundTrip(handMadeSpan({ attributes: { value } }), encoder).attributes[0]!.value).toEqual({
        stringValue: value,
      })
      expect(heapUsed() - before).toBeLessThan(8 * 2 ** 20)
      expect(encoder.groupCount).toBe(1)
    })
  })

  describe('user code that runs meanwhile', () => {
    it.each([0, 1])(
      'B44: spans that end while another is encoded are whole, and so is the other (gap %i)',
      (gap) => {
        const encoder = create()
        const records = new RecordCollector(gap)
        const expected: OtlpSpan[] = []
        let depth = 0
        const nestingSpan = (label: string): ReadableSpan => {
          const inner = (): void => {
            if (depth > 3) return
            depth++
            encoder.encode(nestingSpan(`${label}+`), records)
            depth--
          }
          return handMadeSpan({
            attributes: {
              first: `${label} before`,
              get second() {
                inner()
                return `${label} amid`
              },
              third: {
                get nested() {
                  inner()
                  return [label]
                },
              },
            },
            get links() {
              inner()
              return [{ context: { traceId: TRACE_ID, spanId: PARENT_SPAN_ID, traceFlags: 1 } }]
            },
            get status() {
              inner()
              return { code: 1, message: label }
            },
          })
        }
        for (let i = 0; i < 12; i++) {
          const before = records.offsets.length
          encoder.encode(nestingSpan(`span ${i}`), records)
          expect(records.offsets.length - before).toBeGreaterThan(100)
        }
        const decoded = spansOf(decode(encoder.frame(records.table(), allocateUsed)))
        for (const span of decoded) {
          const label = span.status.message
          expected.push({
            ...expectedSpan(handMadeSpan()),
            attributes: expectedAttributes({
              first: `${label} before`,
              second: `${label} amid`,
              third: { nested: [label] } as unknown as string,
            }),
            links: [
              {
                traceId: TRACE_ID,
                spanId: PARENT_SPAN_ID,
                traceState: '',
                attributes: [],
                droppedAttributesCount: 0,
                flags: 0x101,
              },
            ],
            status: { code: 1, message: label },
          })
        }
        expect(decoded).toEqual(expected)
        expect(decoded.filter((span) => /^span \d+$/.test(span.status.message))).toHaveLength(12)
      },
    )

    it('B44: a throw within a span that ends while another is encoded leaves the other whole', () => {
      const encoder = create()
      const records = new RecordCollector()
      for (let i = 0; i < 6; i++) {
        const attributes = {
          first: 'before',
          get second() {
            expect(() => encoder.encode(throwingSpan(), records)).toThrow('a getter threw')
            encoder.encode(handMadeSpan({ name: 'inner' }), records)
            return 'amid'
          },
          third: 'after',
        }
        encoder.encode(handMadeSpan({ name: 'outer', attributes }), records)
      }
      const decoded = spansOf(decode(encoder.frame(records.table(), allocateUsed)))
      expect(decoded.map(({ name }) => name)).toEqual(
        Array.from({ length: 6 }, () => ['inner', 'outer']).flat(),
      )
      for (const { name, attributes } of decoded) {
        if (name === 'outer') {
          expect(attributes).toEqual(expectedAttributes({ first: 'before', second: 'amid', third: 'after' }))
        }
      }
    })

    it('B44: the value that is written is the one that was read, though a getter gives another each time', () => {
      const encoder = create()
      for (let i = 0; i < 6; i++) {
        let reads = 0
        const attributes = {
          get counted() {
            return ++reads
          },
        }
        expect(roundTrip(handMadeSpan({ attributes }), encoder).attributes[0]!.value).toEqual({
          intValue: '1',
        })
        expect(reads).toBe(1)
      }
    })
  })

  describe('groups and frames', () => {
    const scopeNamed = (name: string) => ({ name, version: '1' })
    const resourceNamed = (name: string): Resource => ({ attributes: { 'service.name': name } })

    it('B42: 200 groups, their spans mixed, stay apart and keep their order', () => {
      const resources = Array.from({ length: 10 }, (_, i) => resourceNamed(`service ${i}`))
      const scopes = Array.from({ length: 20 }, (_, i) => scopeNamed(`scope ${i}`))
      const batch = Array.from({ length: 1_000 }, (_, i) =>
        handMadeSpan({
          name: `span ${i}`,
          resource: resources[(i * 7) % 10],
          instrumentationScope: scopes[(i * 13) % 20],
        }),
      )
      for (const gap of [0, 5])
        expect(decode(encodeAll(create(), batch, gap))).toEqual(expectedRequest(batch))
    })

    it('B35: a framed batch can be split again and again, down to single spans', () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { minLength: 1, maxLength: 40 }),
          fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
          (groups, cuts) => {
            const encoder = create()
            const records = new RecordCollector()
            const batch = groups.map(([resource, scope], i) =>
              handMadeSpan({
                name: `span ${i}`,
                resource: resourceNamed(`service ${resource}`),
                instrumentationScope: scopeNamed(`scope ${scope}`),
              }),
            )
            for (const span of batch) encoder.encode(span, records)
            const check = (table: ReturnType<RecordCollector['table']>, expected: ReadableSpan[]): void => {
              const body = encoder.frame(table, allocateUsed)
              expect(decode(body)).toEqual(expectedRequest(expected))
              if (expected.length < 2) return
              const cut = Math.min(
                1 + Math.floor(cuts.next().value! * (expected.length - 1)),
                expected.length - 1,
              )
              check(part(table, body, 0, cut), expected.slice(0, cut))
              check(part(table, body, cut, expected.length), expected.slice(cut))
            }
            check(records.table(), batch)
          },
        ),
        { numRuns: 60 },
      )
    })

    it('B42: the body is exactly as long as what was asked of `allocate`, once', () => {
      const encoder = create()
      const records = new RecordCollector()
      for (const span of sdkSpans(5)) encoder.encode(span, records)
      const asked: number[] = []
      const body = encoder.frame(records.table(), (bytes) => {
        asked.push(bytes)
        return new Uint8Array(bytes)
      })
      expect(asked).toEqual([body.length])
      expect(body.byteOffset).toBe(0)
    })

    it('B42: a batch without spans is an empty request', () => {
      expect(decode(create().frame(new RecordCollector().table(), allocateUsed))).toEqual({
        resourceSpans: [],
      })
    })

    it('B42: scopes and resources that say the same are one group, whatever objects they are', () => {
      const encoder = create()
      const records = new RecordCollector()
      for (let i = 0; i < 1_000; i++) {
        encoder.encode(
          handMadeSpan({ resource: resourceNamed(`${i % 2}`), instrumentationScope: scopeNamed(`${i % 3}`) }),
          records,
        )
      }
      expect(encoder.groupCount).toBe(6)
      expect(new Set(records.groups).size).toBe(6)
    })

    it('B42: groups that differ only in a version, a schema URL or an attribute stay apart', () => {
      const batch = [
        scopeNamed('a'),
        { name: 'a' },
        { name: 'a', schemaUrl: '1' },
        { name: 'a', attributes: { b: 1 } },
        { name: 'a', version: '', schemaUrl: '' },
      ].map((instrumentationScope) => handMadeSpan({ instrumentationScope }))
      batch.push(
        handMadeSpan({ resource: { attributes: {}, schemaUrl: 'x' } }),
        handMadeSpan({ resource: { attributes: {} } }),
      )
      expect(decode(encodeAll(create(), batch))).toEqual(expectedRequest(batch))
      // The last of the scopes says what the second says.
      expect(expectedRequest(batch).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans)).toHaveLength(6)
    })

    it('B42: groups that are not retained are forgotten, the others keep their numbers', () => {
      const encoder = create()
      const spanOf = (i: number) =>
        handMadeSpan({
          name: `span ${i}`,
          resource: resourceNamed(`${i >> 2}`),
          instrumentationScope: scopeNamed(`${i & 3}`),
        })
      const first = new RecordCollector()
      for (let i = 0; i < 16; i++) encoder.encode(spanOf(i), first)
      expect(encoder.groupCount).toBe(16)

      const kept = [3, 4, 5, 9]
      encoder.retainGroups(new Set(kept.map((i) => first.groups[i]!)))
      expect(encoder.groupCount).toBe(4)

      const second = new RecordCollector()
      for (const i of [9, 20, 0, 3]) encoder.encode(spanOf(i), second)
      expect(second.groups[0]).toBe(first.groups[9])
      expect(second.groups[3]).toBe(first.groups[3])
      expect(encoder.groupCount).toBe(6)
      expect(decode(encoder.frame(second.table(), allocateUsed))).toEqual(
        expectedRequest([9, 20, 0, 3].map(spanOf)),
      )
      const table = first.table()
      const body = encoder.frame(part(table, table.buffers[0]!, 3, 6), allocateUsed)
      expect(decode(body)).toEqual(expectedRequest([3, 4, 5].map(spanOf)))
    })

    it('B42: an object that made a forgotten group makes a new one', () => {
      const encoder = create()
      const span = handMadeSpan()
      encoder.encode(span, new RecordCollector())
      encoder.retainGroups(new Set())
      expect(encoder.groupCount).toBe(0)
      expect(decode(encodeAll(encoder, [span]))).toEqual(expectedRequest([span]))
      expect(encoder.groupCount).toBe(1)
    })
  })

  describe('resources that are not settled', () => {
    const resourceOf = (body: Uint8Array) =>
      decode(body).resourceSpans.map(({ resource }) => resource.attributes)

    it('B30: nothing pending, nothing to wait for', () => {
      const encoder = create()
      expect(encoder.whenResourcesSettle()).toBeUndefined()
      encodeAll(encoder, [handMadeSpan()])
      expect(encoder.whenResourcesSettle()).toBeUndefined()
    })

    it('B30: what has settled at framing is sent; the rest follows when it has', async () => {
      let resolve!: (value: string) => void
      const late = new Promise<string>((resolved) => {
        resolve = resolved
      })
      const resource = resourceFromAttributes({ 'service.name': 'shop', 'host.id': late })
      const encoder = create()
      const span = handMadeSpan({ resource })
      expect(resourceOf(encodeAll(encoder, [span]))).toEqual([expectedAttributes({ 'service.name': 'shop' })])

      const settled = encoder.whenResourcesSettle()
      expect(settled).toBeInstanceOf(Promise)
      resolve('h-1')
      await settled
      expect(encoder.whenResourcesSettle()).toBeUndefined()
      const expected = [expectedAttributes({ 'service.name': 'shop', 'host.id': 'h-1' })]
      expect(resourceOf(encodeAll(encoder, [span]))).toEqual(expected)
      expect(resourceOf(encodeAll(encoder, [span]))).toEqual(expected)
      expect(encoder.groupCount).toBe(1)
    })

    it('B30: an attribute that is rejected loses neither the batch nor the other attributes', async () => {
      const rejected = Promise.reject(new Error('no metadata service'))
      const encoder = create()
      const span = handMadeSpan({
        resource: resourceFromAttributes({ 'service.name': 'shop', 'host.id': rejected }),
      })
      encodeAll(encoder, [span])
      await encoder.whenResourcesSettle()
      expect(encoder.whenResourcesSettle()).toBeUndefined()
      expect(resourceOf(encodeAll(encoder, [span]))).toEqual([expectedAttributes({ 'service.name': 'shop' })])
    })

    it('B30: a resource that rejects, throws, or cannot be waited for, does not keep anyone waiting', async () => {
      const waits: (Resource['waitForAsyncAttributes'] | undefined)[] = [
        () => Promise.reject(new Error('rejected')),
        () => {
          throw new Error('threw')
        },
        undefined,
      ]
      for (const waitForAsyncAttributes of waits) {
        const resource = { attributes: { a: 1 }, asyncAttributesPending: true, waitForAsyncAttributes }
        const encoder = create()
        const span = handMadeSpan({ resource })
        encodeAll(encoder, [span])
        await encoder.whenResourcesSettle()
        expect(encoder.whenResourcesSettle()).toBeUndefined()
        expect(resourceOf(encodeAll(encoder, [span]))).toEqual([expectedAttributes({ a: 1 })])
      }
    })

    it('B30: a resource that is forgotten while it is pending is not waited for', () => {
      const encoder = create()
      const resource = {
        attributes: {},
        asyncAttributesPending: true,
        waitForAsyncAttributes: () => new Promise<void>(() => {}),
      }
      encodeAll(encoder, [handMadeSpan({ resource })])
      expect(encoder.whenResourcesSettle()).toBeInstanceOf(Promise)
      encoder.retainGroups(new Set())
      expect(encoder.whenResourcesSettle()).toBeUndefined()
    })

    it('B30: attributes of a resource that cannot be encoded are left out', () => {
      for (const asyncAttributesPending of [false, true]) {
        const attributes = {
          before: 1,
          cycle: cyclic(),
          get bad(): string {
            throw new Error('a getter threw')
          },
          promise: Promise.resolve('later'),
          after: 2,
        }
        const resource = { attributes, asyncAttributesPending }
        expect(resourceOf(encodeAll(create(), [handMadeSpan({ resource })]))).toEqual([
          expectedAttributes({ before: 1, after: 2 }),
        ])
      }
    })

    it('B30: a pending resource of which the attributes throw does not lose the batch', () => {
      const resource = {
        asyncAttributesPending: true,
        get attributes(): never {
          throw new Error('not yet')
        },
      }
      const batch = [handMadeSpan({ resource }), handMadeSpan()]
      expect(spansOf(decode(encodeAll(create(), batch)))).toHaveLength(2)
    })
  })

  describe('bounds', () => {
    it('names, keys and values without end keep memory flat, and are right', { timeout: 60_000 }, () => {
      const encoder = create()
      const hostile = (i: number): ReadableSpan =>
        handMadeSpan({
          name: `${i % 3 === 0 ? i : i % 2_000} ${'n'.repeat(200)}`,
          attributes: {
            [`key ${i}`]: 'value',
            url: `/${i}/${'p'.repeat(180)}`,
            id: `${i % 7}-${i}`,
            text: 'é'.repeat(i % 90),
          },
        })
      const sink = new RecordCollector()
      const run = (from: number, to: number): void => {
        for (let i = from; i < to; i++) encoder.encode(hostile(i), { append: () => {} })
      }
      run(0, 2_000)
      const before = heapUsed()
      run(2_000, 60_000)
      expect(heapUsed() - before).toBeLessThan(3 * 2 ** 20)
      const batch = Array.from({ length: 50 }, (_, i) => hostile(59_900 + i * 7))
      for (const span of batch) encoder.encode(span, sink)
      expect(decode(encoder.frame(sink.table(), allocateUsed))).toEqual(expectedRequest(batch))
    })

    it('names that never come again keep memory flat', { timeout: 60_000 }, () => {
      const encoder = create()
      const before = heapUsed()
      for (let i = 0; i < 60_000; i++) {
        encoder.encode(handMadeSpan({ name: `${i} ${'n'.repeat(200)}` }), { append: () => {} })
      }
      expect(heapUsed() - before).toBeLessThan(3 * 2 ** 20)
      // Used once more, or it could have been collected before.
      expect(encoder.groupCount).toBe(1)
    })

    it('values that are slices of something large do not keep it', () => {
      const encoder = create()
      const before = heapUsed()
      for (let i = 0; i < 200; i++) {
        const large = `${i}`.padEnd(2 ** 19, 'x')
        for (let j = 0; j < 12; j++) {
          const attributes = { body: large.slice(j, j + 40), other: large.slice(40, 80) }
          encoder.encode(handMadeSpan({ name: large.slice(0, 30), attributes }), { append: () => {} })
        }
      }
      expect(heapUsed() - before).toBeLessThan(16 * 2 ** 20)
      expect(encoder.groupCount).toBe(1)
    })
  })
}
