/** Bun: a server that SIGTERM lets finish what it is doing. */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { serve } from 'bun'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { shutdownOnSignal } from 'tailrace/node'

const processor = new BatchSpanProcessor(new OTLPTraceExporter()) // OTEL_* is honoured
new NodeTracerProvider({ spanProcessors: [processor] }).register()

const server = serve({
  port: process.env.PORT,
  fetch: (request) =>
    trace.getTracer('server').startActiveSpan(`${request.method} /`, (span) => {
      span.end()
      return new Response('hello')
    }),
})

process.once('SIGTERM', () => server.stop()) // drains …
shutdownOnSignal(processor) // … then the rest is flushed, then all is shut down
