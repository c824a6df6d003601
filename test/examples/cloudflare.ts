import { SpanStatusCode } from '@opentelemetry/api'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { wrapHandler } from 'tailrace/cloudflare'

const processor = new BatchSpanProcessor(new OTLPTraceExporter()) // OTEL_* of the Worker's variables, with nodejs_compat
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('shop')

export default wrapHandler(
  {
    async fetch(request: Request): Promise<Response> {
      const span = tracer.startSpan(`${request.method} /`)
      try {
        return new Response(`hello, ${new URL(request.url).searchParams.get('name') ?? 'world'}\n`)
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        span.end()
      }
    },
  },
  { processor },
)
