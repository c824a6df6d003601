import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { wrapHandler } from 'tailrace/lambda'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
new NodeTracerProvider({ spanProcessors: [processor] }).register()

async function greet(event: { name: string }): Promise<string> {
  return trace.getTracer('greeter').startActiveSpan('greet', async (span) => {
    span.end()
    return `Hello ${event.name}`
  })
}

export const handler = wrapHandler(greet, { processor, rootSpan: true, mode: 'after-response' })
