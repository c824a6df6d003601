/** A server that SIGTERM lets finish what it is doing. */
import { createServer } from 'node:http'
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { shutdownOnSignal } from 'tailrace/node'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
new NodeTracerProvider({ spanProcessors: [processor] }).register()

const server = createServer((_request, response) => {
  trace.getTracer('server').startActiveSpan('say hello', (span) => {
    setTimeout(() => response.end('hello', () => span.end()), 500)
  })
}).listen(process.env.PORT)

process.once('SIGTERM', () => server.close()) // drains …
shutdownOnSignal(processor) // … then the rest is flushed, then all is shut down
