/**
 * tailrace: what stands between a finished OpenTelemetry span and the backend.
 *
 *     span.end()
 *        │ onEnd: sampled? not shut down?                                                 processor.ts
 *        ▼
 *     encode ──► arena ──► drain loop ──► exporter.send(batch, deadline) ──► transport ──► collector
 *     (at end)  (bounded,  (the only code   one attempt; answers with an     fetch │ node:http
 *     otlp/      drop-      that touches     Outcome, never throws           gzip, abort, keep-alive
 *                oldest)    the network)
 *                pipeline/  pipeline/drain   otlp/, exporters/               transport/
 *        ▲                      │
 *        └── ledger: ended = exported + rejected + failed + dropped{reason} + pending, at every instant
 */
export { InMemorySpanExporter } from './exporters/in-memory.ts'
export { JsonLinesExporter, type JsonLinesExporterOptions } from './exporters/json-lines.ts'
export type { BatchSpanProcessorOptions } from './options.ts'
export { OTLPProtobufTraceExporter, OTLPTraceExporter } from './otlp/exporter.ts'
export type {
  FetchFunction,
  HeadersFunction,
  HttpAgent,
  OTLPTraceExporterOptions,
  TlsOptions,
} from './otlp/options.ts'
export type { CircuitBreakerOptions } from './pipeline/breaker.ts'
export type { Drop } from './pipeline/report.ts'
export type { RetryOptions } from './pipeline/retry.ts'
export { BatchSpanProcessor } from './processor.ts'
export {
  type DropReason,
  ExportError,
  type ExportErrorCode,
  type ExportResult,
  type FlushOptions,
  type FlushResult,
  type InstrumentationScope,
  type PipelineStats,
  type ReadableSpan,
  type Resource,
  type SpanExporter,
  type TimedEvent,
} from './types.ts'
