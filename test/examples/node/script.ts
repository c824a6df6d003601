/** A script: the simplest correct program. */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
new NodeTracerProvider({ spanProcessors: [processor] }).register()

const span = trace.getTracer('script').startSpan('import orders')
try {
  if (process.argv.includes('--fail')) throw new Error('there are no orders')
} finally {
  span.end()
  await processor.shutdown() // never throws, never hangs; the error above stays what it is
}
