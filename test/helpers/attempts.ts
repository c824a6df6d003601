import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import { type Attempt, type EncodedBatch, type PipelineExporter, pipelineExporter } from '../../src/types.ts'

/** The side of an OTLP exporter that the pipeline talks to. */
export function senderOf(options: OTLPTraceExporterOptions = {}): PipelineExporter {
  return new OTLPTraceExporter(options)[pipelineExporter]()!
}

/** An attempt that has all the time it wants, unless its signal says otherwise. */
export function attempt(signal: AbortSignal = new AbortController().signal): Attempt {
  return { signal, timeoutMillis: 10_000 }
}

/** A batch whose body is five bytes a span; no transport cares what they mean. */
export function batchOf(spanCount: number): EncodedBatch {
  return { body: new TextEncoder().encode('span '.repeat(spanCount)), spanCount }
}
