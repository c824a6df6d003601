/** What only programs with the SDK of the 3.1 line have. */
import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'

export type { SpanExporter, SpanProcessor }

/** Providers of this line do not register themselves. */
export function register(spanProcessors: SpanProcessor[]): TracerProvider {
  const provider = new TracerProvider({ spanProcessors })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  return provider
}

export const createBatchSpanProcessor = (exporter: SpanExporter): SpanProcessor =>
  new BatchSpanProcessor({ exporter })

export const createSimpleSpanProcessor = (exporter: SpanExporter): SpanProcessor =>
  new SimpleSpanProcessor({ exporter })

export const createConsoleExporter = (): SpanExporter => new ConsoleSpanExporter()
