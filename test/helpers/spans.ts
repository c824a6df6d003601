/** Spans: made by hand, by real SDKs, and generated. */
import {
  type Attributes,
  createTraceState,
  type HrTime,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import fc from 'fast-check'
import { BasicTracerProvider as BasicTracerProvider1 } from 'sdk-trace-base-1'
import type { InstrumentationScope, ReadableSpan, Resource } from '../../src/types.ts'

export const RESOURCE: Resource = {
  attributes: { 'service.name': 'shop', 'service.instance.id': 'a3f1', 'process.pid': 4711 },
  schemaUrl: 'https://opentelemetry.io/schemas/1.30.0',
}

export const SCOPE: InstrumentationScope = {
  name: '@opentelemetry/instrumentation-http',
  version: '0.223.0',
  schemaUrl: 'https://opentelemetry.io/schemas/1.27.0',
  attributes: { internal: true },
}

export const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
export const SPAN_ID = '00f067aa0ba902b7'
export const PARENT_SPAN_ID = '53995c3f42cd8ad8'

/** Anything in place of anything: what a hand-made span may hold. */
export type SpanParts = { [Name in keyof ReadableSpan]?: unknown }

/** A span made by hand: whatever `parts` says, and otherwise ordinary. */
export function handMadeSpan(parts: SpanParts = {}): ReadableSpan {
  const span: ReadableSpan = {
    name: 'GET /orders/:id',
    kind: SpanKind.SERVER,
    spanContext: () => ({ traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: TraceFlags.SAMPLED }),
    parentSpanContext: { traceId: TRACE_ID, spanId: PARENT_SPAN_ID, traceFlags: TraceFlags.SAMPLED },
    startTime: [1_760_000_000, 123_456_789],
    endTime: [1_760_000_000, 987_654_321],
    duration: [0, 0],
    ended: true,
    status: { code: SpanStatusCode.UNSET },
    attributes: { 'http.request.method': 'GET', 'http.response.status_code': 200 },
    links: [],
    events: [],
    resource: RESOURCE,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
  return Object.defineProperties({ ...span }, Object.getOwnPropertyDescriptors(parts)) as ReadableSpan
}

/** A span of SDK 1.30, as far as its shape goes. */
export function handMadeSpan1(parts: SpanParts = {}): ReadableSpan {
  const { parentSpanContext, instrumentationScope, ...span } = handMadeSpan()
  return { ...span, parentSpanId: PARENT_SPAN_ID, instrumentationLibrary: SCOPE, ...parts } as ReadableSpan
}

interface Provider {
  getTracer(
    name: string,
    version?: string,
    options?: { schemaUrl?: string },
  ): ReturnType<typeof trace.getTracer>
}

/** What a small web shop's instrumentations make: servers, clients, databases, exceptions, links, trace state. */
function makeShopSpans(provider: Provider, rounds: number): void {
  const http = provider.getTracer('@opentelemetry/instrumentation-http', '0.223.0')
  const database = provider.getTracer('@opentelemetry/instrumentation-pg', '0.70.0', {
    schemaUrl: 'https://opentelemetry.io/schemas/1.37.0',
  })
  const shop = provider.getTracer('shop')
  for (let round = 0; round < rounds; round++) {
    const remote: SpanContext = {
      traceId: (BigInt(`0x${TRACE_ID}`) + BigInt(round)).toString(16),
      spanId: PARENT_SPAN_ID,
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
      traceState: createTraceState('vendor=a1b2,other=c3'),
    }
    const parent = round % 3 === 0 ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT
    const server = http.startSpan(
      round % 2 === 0 ? 'GET /orders/:id' : 'POST /orders',
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': round % 2 === 0 ? 'GET' : 'POST',
          'url.scheme': 'https',
          'server.address': 'shop.example.com',
          'server.port': 443,
          'url.path': `/orders/${round * 7919}`,
          'network.peer.address': `10.0.${round % 4}.${round % 251}`,
          'network.peer.port': 40_000 + round,
          'user_agent.original': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
        },
      },
      parent,
    )
    const within = trace.setSpan(parent, server)
    const query = database.startSpan(
      'SELECT orders',
      {
        kind: SpanKind.CLIENT,
        attributes: {
          'db.system.name': 'postgresql',
          'db.namespace': 'shop',
          'db.query.text':
            'SELECT id, customer, total FROM orders WHERE id = $1 AND deleted_at IS NULL LIMIT 1',
          'db.response.returned_rows': round % 5,
          'db.client.connection.wait': round / 8,
          'db.cached': round % 2 === 0,
        },
      },
      within,
    )
    query.end()
    const price = shop.startSpan(
      'price order',
      {
        links: [
          { context: remote, attributes: { 'link.reason': 'batch' } },
          { context: query.spanContext() },
        ],
      },
      within,
    )
    price.setAttribute('order.items', ['Käsespätzle', '寿司', '🥨'])
    price.setAttribute('order.weights', [1, 2.5, -3])
    price.addEvent('priced', { total: 1234.5, currency: 'EUR' })
    if (round % 4 === 1) {
      price.recordException(new TypeError(`no price for item ${round}`))
      price.setStatus({ code: SpanStatusCode.ERROR, message: 'no price' })
    } else {
      price.setStatus({ code: SpanStatusCode.OK })
    }
    price.end()
    server.setAttribute('http.response.status_code', round % 4 === 1 ? 500 : 200)
    server.setAttribute('http.route', '/orders/:id')
    server.end()
  }
}

function collecting(): { spans: ReadableSpan[]; processor: ReturnType<typeof collector> } {
  const spans: ReadableSpan[] = []
  return { spans, processor: collector(spans) }
}

function collector(spans: ReadableSpan[]) {
  return {
    onStart: (): void => {},
    onEnd: (span: unknown): void => {
      spans.push(span as ReadableSpan)
    },
    forceFlush: async (): Promise<void> => {},
    shutdown: async (): Promise<void> => {},
  }
}

/** Spans of SDK 2.12, three a round. */
export function sdkSpans(rounds: number): ReadableSpan[] {
  const { spans, processor } = collecting()
  const resource = resourceFromAttributes(RESOURCE.attributes, { schemaUrl: RESOURCE.schemaUrl! })
  makeShopSpans(new BasicTracerProvider({ resource, spanProcessors: [processor] }), rounds)
  return spans
}

/** Spans of SDK 1.30, three a round. */
export function sdk1Spans(rounds: number): ReadableSpan[] {
  const { spans, processor } = collecting()
  const provider = new BasicTracerProvider1({
    spanProcessors: [processor] as unknown as NonNullable<
      ConstructorParameters<typeof BasicTracerProvider1>[0]
    >['spanProcessors'] &
      object,
  })
  makeShopSpans(provider as unknown as Provider, rounds)
  return spans
}

/** Strings of every sort: short, long, ASCII, what JSON escapes, lone surrogates. */
const texts: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 70 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 140 }) },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 150 })
      .map((codes) => String.fromCharCode(...codes)),
  },
  {
    weight: 1,
    arbitrary: fc
      .array(
        fc.constantFrom(
          '"',
          '\\',
          '\n',
          '\u0000',
          '\u001f',
          '\u007f',
          '\u0080',
          'é',
          '\ud800',
          '\\ud800',
          'a',
        ),
      )
      .map((parts) => parts.join('')),
  },
  {
    // Around the lengths at which the encoders change their ways, and their lengths another byte.
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom(
          41,
          42,
          43,
          55,
          56,
          57,
          95,
          96,
          97,
          123,
          124,
          125,
          126,
          127,
          128,
          129,
          16_383,
          16_384,
        ),
        fc.constantFrom('x', 'é', '寿', '"'),
        fc.constantFrom('', 'é', '🥨', '\udc00'),
      )
      .map(([length, character, end]) => character.repeat(length) + end),
  },
)

const numbers: fc.Arbitrary<number> = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.constantFrom(
    0,
    -0,
    1,
    -1,
    127,
    128,
    2 ** 31,
    -(2 ** 31),
    2 ** 32,
    -(2 ** 32),
    2 ** 32 - 1,
    2 ** 53,
    -(2 ** 53),
    2 ** 60,
    2 ** 62 + 2 ** 20,
    2 ** 63,
    -(2 ** 63),
    -(2 ** 63) - 2048,
    -(2 ** 63) + 1024,
    1e300,
    Number.MIN_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    0.1,
    200,
  ),
)

const keys: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom('http.route', 'db.system', '__proto__', 'constructor', '7', 'ключ', ''),
  },
  { weight: 5, arbitrary: texts },
)

export const values: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    texts,
    numbers,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.uint8Array({ maxLength: 200 }),
    fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
  ),
})).value

export const attributes = fc.dictionary(keys, values, { maxKeys: 20 }) as fc.Arbitrary<Attributes>

const times: fc.Arbitrary<HrTime> = fc.tuple(
  fc.oneof(
    fc.integer({ min: 1_700_000_000, max: 1_900_000_000 }),
    fc.integer({ min: 0, max: 18_446_744_072 }),
  ),
  fc.integer({ min: 0, max: 999_999_999 }),
)

function hexadecimal(length: number): fc.Arbitrary<string> {
  return fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((id) => !/^0+$/.test(id))
}

const traceStates = fc.constantFrom(undefined, createTraceState('vendor=1'), createTraceState('a=x,b=y'))

const spanContexts: fc.Arbitrary<SpanContext> = fc
  .record({
    traceId: fc.oneof(hexadecimal(32), fc.constantFrom(TRACE_ID, TRACE_ID.toUpperCase())),
    spanId: hexadecimal(16),
    traceFlags: fc.integer({ min: 0, max: 255 }),
    isRemote: fc.constantFrom(undefined, false, true),
    traceState: traceStates,
  })
  .map((spanContext) => spanContext as SpanContext)

const counts = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 32 - 1 }))

const scopes: fc.Arbitrary<InstrumentationScope> = fc.record(
  { name: texts, version: texts, schemaUrl: texts, attributes: fc.dictionary(keys, texts, { maxKeys: 3 }) },
  { requiredKeys: ['name'] },
)

const resources: fc.Arbitrary<Resource> = fc.record(
  { attributes: fc.dictionary(keys, texts, { maxKeys: 5 }) as fc.Arbitrary<Attributes>, schemaUrl: texts },
  { requiredKeys: ['attributes'] },
)

/** Spans with anything in them that a span may hold. */
export const spans: fc.Arbitrary<ReadableSpan> = fc
  .record({
    name: fc.oneof(fc.constantFrom('GET', 'SELECT orders'), texts),
    kind: fc.integer({ min: 0, max: 4 }),
    context: spanContexts,
    parent: fc.option(spanContexts, { nil: undefined }),
    isOld: fc.boolean(),
    startTime: times,
    endTime: times,
    status: fc.record(
      { code: fc.integer({ min: 0, max: 2 }), message: texts },
      { requiredKeys: ['code'] },
    ) as fc.Arbitrary<ReadableSpan['status']>,
    attributes,
    links: fc.array(
      fc.record(
        { context: spanContexts, attributes, droppedAttributesCount: counts },
        { requiredKeys: ['context'] },
      ),
      { maxLength: 3 },
    ),
    events: fc.array(
      fc.record(
        { time: times, name: texts, attributes, droppedAttributesCount: counts },
        { requiredKeys: ['time', 'name'] },
      ),
      { maxLength: 3 },
    ),
    resource: fc.oneof({ weight: 4, arbitrary: fc.constant(RESOURCE) }, { weight: 1, arbitrary: resources }),
    scope: fc.oneof({ weight: 4, arbitrary: fc.constant(SCOPE) }, { weight: 1, arbitrary: scopes }),
    droppedAttributesCount: counts,
    droppedEventsCount: counts,
    droppedLinksCount: counts,
  })
  .map(({ context: spanContext, parent, isOld, scope, ...span }) => ({
    ...span,
    spanContext: () => spanContext,
    ...(isOld
      ? { instrumentationLibrary: scope, parentSpanId: parent?.spanId }
      : { instrumentationScope: scope, parentSpanContext: parent }),
  })) as fc.Arbitrary<ReadableSpan>
