/** Next.js calls `register` once in each runtime as the server starts, and not while the app is built. */
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { after } from 'next/server'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushEachRequest } from 'tailrace/next'

export function register() {
  const processor = new BatchSpanProcessor(new OTLPTraceExporter()) // OTEL_* is honoured
  const spanProcessors = [flushEachRequest(processor, { after })]
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }))
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
}
