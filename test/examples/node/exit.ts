/** A program that leaves by `process.exit()`, or by an error that nobody catches. */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushOnExit } from 'tailrace/node'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
new NodeTracerProvider({ spanProcessors: [processor] }).register()
flushOnExit(processor, { timeoutMillis: 1_000 })

trace.getTracer('program').startSpan('import orders').end()
if (process.argv.includes('--fail')) throw new Error('there are no orders') // exit code and message stay
process.exit(3)
