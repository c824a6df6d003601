/** What only programs with the SDK of the 2.12 line have. */
import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

export type { SpanExporter, SpanProcessor }

export function register(spanProcessors: SpanProcessor[]): NodeTracerProvider {
  const provider = new NodeTracerProvider({ spanProcessors })
  provider.register()
  return provider
}

export const createBatchSpanProcessor = (exporter: SpanExporter): SpanProcessor =>
  new BatchSpanProcessor(exporter)

export const createSimpleSpanProcessor = (exporter: SpanExporter): SpanProcessor =>
  new SimpleSpanProcessor(exporter)

export const createConsoleExporter = (): SpanExporter => new ConsoleSpanExporter()
