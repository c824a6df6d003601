/**
 * The quick-start program of OpenTelemetry: a tracer provider, a batch span processor, an OTLP exporter, a few spans,
 * and the shutdown. It exists twice: quick-start-stock.ts takes the processor and the exporter from OpenTelemetry,
 * quick-start.ts takes them from tailrace. What differs is what the diff in README shows.
 */
// biome-ignore-all assist/source/organizeImports: the lines that change stand together
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'quick-start', 'service.version': '1.0.0' }),
  spanProcessors: [
    new BatchSpanProcessor(new OTLPTraceExporter({ headers: { 'x-tenant': 'demo' }, timeoutMillis: 5_000 }), {
      maxQueueSize: 100,
      maxExportBatchSize: 10,
      scheduledDelayMillis: 500,
      exportTimeoutMillis: 10_000,
    }),
  ],
})
provider.register()

const tracer = trace.getTracer('quick-start', '0.1.0')

function work(number: number): void {
  const span = tracer.startSpan('work', { kind: SpanKind.CLIENT, attributes: { 'work.number': number } })
  span.setAttributes({ key: 'value', ratio: number / 4, even: number % 2 === 0, list: ['a', 'ß', '😀'] })
  span.addEvent('invoking work', { attempt: 1 })
  if (number === 7) {
    span.recordException({ name: 'WorkError', message: 'seven is too much' })
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'seven is too much' })
  }
  span.end()
}

const main = tracer.startSpan('main')
context.with(trace.setSpan(context.active(), main), () => {
  for (let number = 0; number < 10; number++) work(number)
})
const linked = tracer.startSpan('afterwards', {
  links: [{ context: main.spanContext(), attributes: { n: 1 } }],
})
linked.end()
main.setStatus({ code: SpanStatusCode.OK }).end()

await provider.forceFlush()
await provider.shutdown()
