/** A Vercel function, on the edge or on Node: its spans are sent after the response. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { wrapHandler } from 'tailrace/vercel'

const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url: process.env.COLLECTOR_URL }))
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('shop')

export const GET = wrapHandler(
  (request: Request) =>
    tracer.startActiveSpan('list orders', (span) => {
      try {
        if (request.url.endsWith('/broken')) throw new Error('no orders today')
        return Response.json(['Füller', '傘'])
      } finally {
        span.end()
      }
    }),
  { processor },
)
