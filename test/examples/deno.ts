/** Deno: a server that SIGTERM lets finish what it is doing. */
import process from 'node:process'
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { shutdownOnSignal } from 'tailrace/node'

const processor = new BatchSpanProcessor(new OTLPTraceExporter()) // OTEL_* is honoured
new NodeTracerProvider({ spanProcessors: [processor] }).register()

const server = Deno.serve({ port: Number(process.env.PORT) }, (request) =>
  trace.getTracer('server').startActiveSpan(`${request.method} /`, (span) => {
    span.end()
    return new Response('hello')
  }),
)

process.once('SIGTERM', () => server.shutdown()) // drains …
shutdownOnSignal(processor) // … then the rest is flushed, then all is shut down
