/** A page: its spans are sent when it is hidden, also when it never comes back. */
import { WebTracerProvider } from '@opentelemetry/sdk-trace-web'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

const exporter = new OTLPTraceExporter({ url: `${location.origin}/v1/traces` })
const provider = new WebTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] })
provider.register()
