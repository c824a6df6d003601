/** The pipelines that are compared, set up alike: no processor to speak of, the stock one, tailrace, and parts of it. */
import { OTLPTraceExporter as StockExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import * as sdk from '@opentelemetry/sdk-trace-base'
import {
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
  BatchSpanProcessor as StockProcessor,
} from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import type { PipelineExporter } from '../../src/types.ts'
import { processorOf } from '../corpus/spans.ts'
import { encodedSide, pipelineExporter } from './encoded-side.ts'
import { EncodingAlone, Floor } from './parts.ts'

export type PipelineName = 'no-op' | 'stock' | 'tailrace' | 'encoding alone' | 'floor'
export const PIPELINES: readonly PipelineName[] = ['no-op', 'stock', 'tailrace']

/** Whoever has delivered nothing more for so long has dropped it. */
const PATIENCE_MILLIS = 30_000

/** Where spans go: over HTTP, or nowhere once they are encoded. */
export interface Target {
  readonly url?: string | undefined
  readonly options?: {
    readonly maxQueueSize?: number
    readonly maxExportBatchSize?: number
    readonly scheduledDelayMillis?: number
  }
}

/** A processor, and what its exporter has delivered. */
export class Pipeline {
  readonly name: PipelineName
  readonly processor: SpanProcessor
  delivered = 0
  #wake = () => {}

  constructor(name: PipelineName, target: Target = {}) {
    this.name = name
    const deliver = (count: number) => {
      this.delivered += count
      this.#wake()
    }
    if (name === 'stock') this.processor = stockProcessor(target, deliver)
    else if (name === 'tailrace') this.processor = tailraceProcessor(target, deliver)
    else if (name === 'encoding alone') this.processor = new EncodingAlone(deliver)
    else if (name === 'floor') this.processor = new Floor(target.url, deliver)
    else this.processor = processorOf(() => deliver(1))
  }

  /** Waits until no more than `allowed` of the spans that have ended are not delivered. */
  async room(ended: number, allowed: number): Promise<void> {
    if (ended - this.delivered <= allowed) return
    const patience = setTimeout(() => {
      throw new Error(
        `${this.name}: ${ended} spans ended, ${this.delivered} were delivered: the rest was dropped`,
      )
    }, PATIENCE_MILLIS)
    while (ended - this.delivered > allowed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    clearTimeout(patience)
  }

  /** The bytes that wait in the queue of ours. */
  get pendingBytes(): number {
    const { stats } = this.processor as unknown as Partial<BatchSpanProcessor>
    return stats?.call(this.processor).pendingBytes ?? 0
  }

  /** Waits until everything is delivered. */
  async flush(ended: number): Promise<void> {
    await this.processor.forceFlush()
    await this.room(ended, 0)
  }

  /** Ends everything, and insists that nothing was dropped. */
  async close(ended: number): Promise<void> {
    await this.flush(ended)
    await this.processor.shutdown()
    if (this.delivered !== ended) throw new Error(`${this.name}: ${ended} ended, ${this.delivered} delivered`)
  }
}

function stockProcessor({ url, options }: Target, deliver: (count: number) => void): SpanProcessor {
  const inner: SpanExporter = url ? new StockExporter({ url }) : new StockWithoutNetwork()
  const exporter: SpanExporter = {
    export: (spans, callback) =>
      inner.export(spans, (result) => {
        if (result.code !== 0) throw result.error ?? new Error('the stock exporter failed')
        callback(result)
        deliver(spans.length)
      }),
    forceFlush: async () => inner.forceFlush?.(),
    shutdown: () => inner.shutdown(),
  }
  // Version 3 takes everything in one object.
  if ('BasicTracerProvider' in sdk) return new StockProcessor(exporter, options)
  const Processor = StockProcessor as unknown as new (all: object) => SpanProcessor
  return new Processor({ exporter, ...options })
}

/** Encodes as the stock exporter does, and leaves out everything else. */
class StockWithoutNetwork implements SpanExporter {
  export(spans: ReadableSpan[], callback: (result: { code: number }) => void): void {
    if (ProtobufTraceSerializer.serializeRequest(spans) === undefined) throw new Error('nothing encoded')
    Promise.resolve().then(() => callback({ code: 0 }))
  }

  async shutdown(): Promise<void> {}
}

function tailraceProcessor({ url, options }: Target, deliver: (count: number) => void): SpanProcessor {
  const exporter = new OTLPTraceExporter({ url: url ?? 'http://127.0.0.1:9/v1/traces' })
  const side = encodedSide(exporter)
  const counting: PipelineExporter = {
    description: side.description,
    maxRequestBytes: side.maxRequestBytes,
    timeoutMillis: side.timeoutMillis,
    attemptTimeoutMillis: side.attemptTimeoutMillis,
    createEncoder: () => side.createEncoder(),
    async send(batch, attempt) {
      const outcome = url ? await side.send(batch, attempt) : ({ kind: 'delivered', rejected: 0 } as const)
      // As after a request that has been written to its end.
      if (!url) batch.readers = 0
      if (outcome.kind !== 'delivered') throw outcome.error
      deliver(batch.spanCount - outcome.rejected)
      return outcome
    },
    shutdown: () => side.shutdown(),
  }
  Object.assign(exporter, { [pipelineExporter]: () => counting })
  return new BatchSpanProcessor(exporter, {
    ...options,
    // The stock processor has no bounds in bytes.
    maxQueueBytes: 2 ** 31 - 1,
    maxExportBatchBytes: 2 ** 31 - 1,
    flushTimeoutMillis: 30_000,
  }) as unknown as SpanProcessor
}
