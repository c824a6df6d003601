/** Our processor and exporter with a provider and the HTTP instrumentation. */
import { trace } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { register } from './sdk.js'
import { endSpans, serveOneRequest } from './spans.js'

export async function run(backend: string): Promise<unknown> {
  const exporter = new OTLPTraceExporter({ url: `${backend}/v1/traces` })
  const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 0 })
  const provider = register([processor])
  registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
  await serveOneRequest()
  await provider.forceFlush()
  const flushed = processor.stats()
  endSpans('last')
  const late = trace.getTracer('program').startSpan('late')
  await provider.shutdown()
  late.end()
  return { flushed, shutDown: processor.stats() }
}
