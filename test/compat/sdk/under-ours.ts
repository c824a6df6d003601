/** Exporters of others under our processor. */
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { BatchSpanProcessor } from 'tailrace'
import { register, type SpanExporter, type SpanProcessor } from './sdk.js'
import { endSpans } from './spans.js'

export async function exportUnderOurs(exporters: readonly SpanExporter[]): Promise<unknown> {
  const processors = exporters.map((exporter) => new BatchSpanProcessor(exporter))
  const spanProcessors: SpanProcessor[] = processors
  const provider = register(spanProcessors)
  registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
  endSpans('a', 'b')
  await provider.forceFlush()
  const flushed = processors.map((processor) => processor.stats().exported)
  endSpans('c')
  await provider.shutdown()
  return { flushed, stats: processors.map((processor) => processor.stats()) }
}
