/** What Jaeger makes of our requests: what it answers to queries is what went in. */
import type { HrTime } from '@opentelemetry/api'
import { expect, it } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import type { OtlpRequest } from '../helpers/otlp-schema.ts'
import { Jaeger } from './jaeger.ts'
import { jaegerRecipe } from './recipes.ts'
import { expectSameSpans } from './same-spans.ts'
import { variedSpans } from './varied-spans.ts'
import { describeWith } from './with-receiver.ts'

const SPANS = 10_000

/** What Go's time has room for: to Jaeger, a later one is before 1970. */
const MAX_SECONDS = 9_223_372_036

/** Jaeger gives a service a name that has none, and a span another end that ends before it starts: not these, then. */
function ofJaegersLiking(span: ReadableSpan): ReadableSpan {
  const { resource, startTime, endTime } = span
  const [start, end] = [startTime, endTime]
    .map(([seconds, nanos]) => [seconds % MAX_SECONDS, nanos] as HrTime)
    .sort((a, b) => a[0] - b[0] || a[1] - b[1])
  const named = { ...resource, attributes: { ...resource.attributes, 'service.name': 'varied' } }
  return Object.create(span, {
    startTime: { value: start },
    endTime: { value: end },
    resource: { value: resource.attributes['service.name'] ? resource : named },
  })
}

/** Its store in memory keeps everything but the URLs of the schemas. */
function asJaegerKeepsIt(span: ReadableSpan): ReadableSpan {
  const { resource, instrumentationScope, instrumentationLibrary } = span
  const scope = instrumentationScope ?? instrumentationLibrary!
  return Object.create(span, {
    resource: { value: { ...resource, attributes: resource.attributes, schemaUrl: undefined } },
    instrumentationScope: { value: { ...scope, schemaUrl: undefined } },
  })
}

const ways: [way: string, options: OTLPTraceExporterOptions][] = [
  ['gzipped protobuf', { compression: 'gzip' }],
  ['JSON', { encoding: 'json' }],
]

describeWith(jaegerRecipe, 'Jaeger', () => {
  it.each(ways)(
    'B42: answers with the 10,000 spans that it got as %s as they were, field by field',
    async (_way, options) => {
      const spans = variedSpans(SPANS, 6).map(ofJaegersLiking)
      const jaeger = await Jaeger.start()
      const processor = watchedProcessor(new OTLPTraceExporter({ url: jaeger.url, ...options }), {
        maxQueueSize: 2 * SPANS,
        maxQueueBytes: 256 * 2 ** 20,
      })

      for (const span of spans) processor.onEnd(span)
      const result = await processor.flush({ timeoutMillis: 60_000 })
      const traces: OtlpRequest[] = []
      for (const traceId of new Set(spans.map((span) => span.spanContext().traceId))) {
        traces.push(await jaeger.trace(traceId))
      }

      expect(result).toMatchObject({ status: 'success', exported: SPANS })
      expect(await jaeger.services()).toEqual(expect.arrayContaining(['shop', 'varied']))
      expectSameSpans(traces, spans.map(asJaegerKeepsIt))
    },
  )
})
