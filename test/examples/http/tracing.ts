/** Tracing for the examples beside it: spans go where OTEL_EXPORTER_OTLP_ENDPOINT says. */
import { createRequire } from 'node:module'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

export const processor = new BatchSpanProcessor(new OTLPTraceExporter())

new NodeTracerProvider({ spanProcessors: [processor] }).register()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })

// The instrumentation patches what is loaded after it by `require`.
createRequire(import.meta.url)('node:http')
