/** Our exporters without our processor: an ordinary `SpanExporter`, with a small pipeline for each `export`. */
import {
  ExportError,
  type ExportResult,
  type PipelineExporter,
  type ReadableSpan,
  type SpanEncoder,
} from '../types.ts'
import { MAX_DELAY_MILLIS } from './deadline.ts'
import { openPipeline } from './pipeline.ts'
import { callBack, Reporter } from './report.ts'
import { DEFAULT_RETRY } from './retry.ts'

/** What the exporter's own methods delegate to. No method throws or rejects. */
export class StandaloneExport {
  readonly #exporter: PipelineExporter
  /** Encoders not in use: their caches are worth keeping, and a stock processor may export several batches at once. */
  readonly #idleEncoders: SpanEncoder[] = []
  /** One for all exports, so that an outage is told once. */
  readonly #reporter = new Reporter({})
  readonly #running = new Set<Promise<void>>()
  #isShutDown = false

  constructor(exporter: PipelineExporter) {
    this.#exporter = exporter
  }

  /** Sends the spans, with retries, within the exporter's own timeout; then calls back, once. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    if (this.#isShutDown) {
      const error = new ExportError('exporter_shutdown', 'the exporter has been shut down')
      callBack(resultCallback, { code: 1, error })
      return
    }
    const running = this.#send(spans).then((result) => {
      this.#running.delete(running)
      callBack(resultCallback, result)
    })
    this.#running.add(running)
  }

  /** Settles when every export that has begun is settled. */
  async forceFlush(): Promise<void> {
    await Promise.all(this.#running)
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
    await Promise.all(this.#running)
    await this.#exporter.shutdown()
  }

  async #send(spans: ReadableSpan[]): Promise<ExportResult> {
    const exporter = this.#exporter
    const encoder = this.#idleEncoders.pop() ?? exporter.createEncoder()
    const timeoutMillis = exporter.timeoutMillis ?? MAX_DELAY_MILLIS
    const unbounded = Number.MAX_SAFE_INTEGER
    const pipeline = openPipeline(
      {
        maxQueueSize: unbounded,
        maxQueueBytes: unbounded,
        dropPolicy: 'newest',
        maxExportBatchSize: unbounded,
        maxExportBatchBytes: unbounded,
        scheduledDelayMillis: 0,
        exportTimeoutMillis: timeoutMillis,
        encodeAt: 'end',
        requestScoped: false,
        retry: DEFAULT_RETRY,
        circuitBreaker: undefined,
        maxExportsPerSecond: undefined,
        selfObsMeterProvider: undefined,
      },
      {
        description: exporter.description,
        maxRequestBytes: exporter.maxRequestBytes,
        timeoutMillis,
        attemptTimeoutMillis: exporter.attemptTimeoutMillis,
        createEncoder: () => encoder,
        openSpiller: exporter.openSpiller,
        send: (batch, attempt) => exporter.send(batch, attempt),
        // The exporter outlives this export.
        shutdown: async () => {},
      },
      this.#reporter,
    )
    for (const span of spans) pipeline.offer(span, false)
    const result = await pipeline.flush({
      timeoutMillis,
      openSpans: 0,
      keepsProcessAlive: exporter.timeoutMillis !== undefined,
      isShutdown: true,
    })
    this.#idleEncoders.push(encoder)
    const { failed, dropped, error } = result
    // Rejections are a success of the export, as specified: https://opentelemetry.io/docs/specs/otlp/#partial-success
    if (failed + dropped === 0) return { code: 0 }
    return error === undefined ? { code: 1 } : { code: 1, error }
  }
}
