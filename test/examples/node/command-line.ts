/** A command-line program with more than one way out. */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushBeforeExit } from 'tailrace/node'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())
new NodeTracerProvider({ spanProcessors: [processor] }).register()
flushBeforeExit(processor)

const span = trace.getTracer('command-line').startSpan('check orders')
if (process.argv.includes('--fail')) process.exitCode = 1 // not process.exit(1), which leaves no time
span.end()
