/** A processor that no provider is registered for, and that sends nothing by itself: only `wrapHandler` flushes it. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'

export const processor = new BatchSpanProcessor(new OTLPTraceExporter({ headers: { 'x-via': 'wrapped' } }), {
  scheduledDelayMillis: 0,
})
export const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('wrapped')
