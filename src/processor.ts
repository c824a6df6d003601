/** The span's front door. */
import { type Context, TraceFlags } from '@opentelemetry/api'
import { StockExporterAdapter } from './exporters/standard.ts'
import { hostAllowance } from './flush-policy.ts'
import { flushOnPageHide } from './lifecycle/page-hide.ts'
import { type BatchSpanProcessorOptions, configureProcessor, readCall } from './options.ts'
import { PAGE, type PageEvent } from './page.ts'
import { monotonicNow, unlessAborted } from './pipeline/deadline.ts'
import { OpenSpans } from './pipeline/open-spans.ts'
import {
  type BranchingExporter,
  type EncoderFor,
  openPipeline,
  openSpanPipeline,
  type Pipeline,
} from './pipeline/pipeline.ts'
import { show } from './pipeline/report.ts'
import { isLocalRoot } from './pipeline/trace-queue.ts'
import { INVOCATION } from './request.ts'
import { type BlockingPost, FLUSH_SYNC } from './spill.ts'
import {
  type EncodingExporter,
  type FlushOptions,
  type FlushResult,
  openBranches,
  type PipelineStats,
  pipelineExporter,
  type ReadableSpan,
  type SpanExporter,
} from './types.ts'

/** A span as the SDK hands it to `onStart`. */
export type StartedSpan = Pick<ReadableSpan, 'spanContext' | 'parentSpanContext' | 'parentSpanId'>

/**
 * Batches finished spans and hands them to an exporter, one batch at a time. Takes the place of the stock
 * `BatchSpanProcessor`: https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor
 *
 * No method throws or rejects, whatever the exporter does; only the constructor does, on a wrong option.
 *
 * @example
 * ```ts
 * const processor = new BatchSpanProcessor(new OTLPTraceExporter())
 * new NodeTracerProvider({ spanProcessors: [processor] }).register()
 *
 * export async function handler(event) {
 *   try {
 *     return await work(event)
 *   } finally {
 *     await processor.forceFlush({ timeoutMillis: 2_000 })
 *   }
 * }
 * ```
 */
export class BatchSpanProcessor {
  readonly #pipeline: Pipeline
  readonly #openSpans = new OpenSpans()
  readonly #flushTimeoutMillis: number
  readonly #shutdownTimeoutMillis: number
  readonly #flushOnRootEnd: boolean
  readonly #stopFlushingOnPageHide: (() => void) | undefined
  #isShutDown = false

  /**
   * Both call shapes of the stock processor, SDK 1.x/2.x and 3.x.
   * @throws TypeError | RangeError that names the option and its value.
   */
  constructor(exporter: SpanExporter, options?: BatchSpanProcessorOptions)
  constructor(options: { exporter: SpanExporter } & BatchSpanProcessorOptions)
  constructor(
    first: SpanExporter | ({ exporter: SpanExporter } & BatchSpanProcessorOptions),
    second?: BatchSpanProcessorOptions,
  ) {
    const [exporter, options] = isExporter(first) ? [first, second ?? {}] : [first?.exporter, first]
    if (!isExporter(exporter)) {
      throw new TypeError(
        `BatchSpanProcessor: exporter must be a SpanExporter, not ${show(exporter ?? first)}`,
      )
    }
    const configuration = configureProcessor(options)
    this.#flushTimeoutMillis = configuration.flushTimeoutMillis
    this.#shutdownTimeoutMillis = configuration.shutdownTimeoutMillis
    this.#flushOnRootEnd = configuration.flushOnRootEnd
    const open = (destination: SpanExporter, encoderFor?: EncoderFor): Pipeline => {
      const { [openBranches]: branches, [pipelineExporter]: encodedSide } = destination as Partial<
        BranchingExporter & EncodingExporter
      >
      if (branches !== undefined) return branches.call(destination as BranchingExporter, open)
      const encoding = encodedSide?.call(destination)
      const { maxExportBatchBytes = encoding?.defaultBatchBytes ?? configuration.maxExportBatchBytes } =
        options
      return encoding
        ? openPipeline({ ...configuration, maxExportBatchBytes }, encoding, undefined, encoderFor)
        : openSpanPipeline(configuration, new StockExporterAdapter(destination))
    }
    this.#pipeline = open(exporter)
    if (!configuration.disableAutoFlushOnDocumentHide) this.#stopFlushingOnPageHide = flushOnPageHide(this)
  }

  /** Called by the SDK when a span starts. Counts the sampled ones. */
  onStart(span: StartedSpan, _parentContext?: Context): void {
    try {
      const spanContext = span.spanContext()
      if ((spanContext.traceFlags & TraceFlags.SAMPLED) === 0) return
      this.#openSpans.started(spanContext.spanId, span.parentSpanContext?.spanId ?? span.parentSpanId)
    } catch {
      // Something that is no span. It is counted if it ever ends.
    }
  }

  /** Called by the SDK when a span has ended. Encodes and queues the sampled ones; never exports. */
  onEnd(span: ReadableSpan): void {
    try {
      const spanContext = span.spanContext()
      if ((spanContext.traceFlags & TraceFlags.SAMPLED) === 0) return
      this.#openSpans.ended(spanContext.spanId)
      if (this.#isShutDown) this.#pipeline.refuse('already_shutdown')
      else this.#pipeline.offer(span, this.#flushOnRootEnd && isLocalRoot(span))
    } catch {
      // Something that is no span.
      this.#pipeline.refuse('encode_error')
    }
  }

  /**
   * Like `flush`, for callers that have no use for the result. Without options, within an invocation that a lifecycle
   * helper watches over (`tailrace/lambda`), it keeps to what the helper allows: no longer than the invocation has
   * left, or not at all, where the helper sees to the flush after the response.
   * @param options - `timeoutMillis` defaults to `flushTimeoutMillis` (2000).
   */
  async forceFlush(options?: FlushOptions): Promise<void> {
    const allowance = options === undefined ? hostAllowance() : undefined
    if (allowance === undefined) await this.flush(options)
    else if (allowance.defer !== undefined) allowance.defer((later) => this.flush(later))
    else await this.flush({ timeoutMillis: Math.min(this.#flushTimeoutMillis, allowance.timeoutMillis) })
  }

  /**
   * Sends every span that has ended by now, and says what became of them: exported, rejected, failed, dropped, or
   * pending when the caller's own deadline came. Waits for exports that are under way, joins other flushes, and never
   * cuts them short. Spans that end after the call are not waited for. Flush is not delivery: a backend may still lose
   * what it took.
   *
   * @example
   * ```ts
   * const result = await processor.flush({ timeoutMillis: 500 })
   * if (result.status !== 'success') console.warn(`${result.pending} spans pending`, result.error)
   * ```
   */
  async flush(options?: FlushOptions): Promise<FlushResult> {
    const openSpans = this.#openSpans.count
    const { timeoutMillis, signal, waitsForOpenSpans, endsRequest, request } = readCall(
      options,
      this.#flushTimeoutMillis,
    )
    // What ends after shutdown is not sent, so nobody waits for it.
    const others = waitsForOpenSpans && !this.#isShutDown ? this.#openSpans.whenOthersEnd() : undefined
    const result = await this.#pipeline.flush({
      timeoutMillis,
      signal,
      openSpans,
      after: others,
      isShutdown: false,
      endsRequest,
      request,
    })
    others?.cancel()
    return result
  }

  /**
   * Sends what waits, then shuts the exporter down, once. What is still held at the deadline is dropped as
   * `shutdown_timeout`; spans that end later are counted as `already_shutdown`. A second call joins the first under
   * its own deadline. A signal ends the caller's wait, not the work.
   * @param options - `timeoutMillis` defaults to `shutdownTimeoutMillis` (8000).
   */
  async shutdown(options?: FlushOptions): Promise<void> {
    const { timeoutMillis, signal, waitsForOpenSpans } = readCall(options, this.#shutdownTimeoutMillis)
    const startedAt = monotonicNow()
    if (waitsForOpenSpans) await this.flush({ openSpans: 'wait', timeoutMillis, signal })
    this.#isShutDown = true
    this.#stopFlushingOnPageHide?.()
    const ended = this.#pipeline.flush({
      timeoutMillis: Math.max(0, timeoutMillis - (monotonicNow() - startedAt)),
      openSpans: this.#openSpans.count,
      isShutdown: true,
    })
    await unlessAborted(ended, signal)
  }

  /** For the wrappers of function handlers: an invocation begins, or its last flush has settled. Never throws. @internal */
  [INVOCATION](event: 'start' | 'end'): void {
    this.#pipeline.invocation(event)
  }

  /** For the page's own events, which `flushOnPageHide` hears. Never throws. @internal */
  [PAGE](event: PageEvent): void {
    if (event === 'shown') this.flush({ timeoutMillis: 0 })
    else if (!this.#pipeline.pageHidden(event === 'left')) this.flush()
  }

  /** For `tailrace/node`: flushes without letting the event loop turn, because the process is about to be gone. */
  [FLUSH_SYNC](timeoutMillis: number, post?: BlockingPost): FlushResult {
    return { ...this.#pipeline.flushSync({ post, timeoutMillis }), openSpans: this.#openSpans.count }
  }

  /** The ledger: `ended = exported + rejected + failed + Σ dropped + pending`. A plain object, the caller's own. */
  stats(): PipelineStats {
    return this.#pipeline.stats(this.#openSpans.count)
  }
}

function isExporter(value: unknown): value is SpanExporter {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<SpanExporter>).export === 'function'
  )
}
