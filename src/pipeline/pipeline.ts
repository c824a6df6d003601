/** Puts the stages together: backlog, ledger, pace, drain loop. */
import type { MeterProvider } from '@opentelemetry/api'
import type {
  DropReason,
  EncodedBatch,
  FlushResult,
  openBranches,
  PipelineExporter,
  PipelineStats,
  ReadableSpan,
  Sender,
  SpanEncoder,
  SpanExporter,
} from '../types.ts'
import { Arena } from './arena.ts'
import { Backlog, type BacklogLimits } from './backlog.ts'
import { CircuitBreaker, type CircuitBreakerOptions } from './breaker.ts'
import { MAX_DELAY_MILLIS, monotonicNow } from './deadline.ts'
import { DrainLoop } from './drain.ts'
import type { CallOptions } from './flush.ts'
import { type FlushSyncCall, resultOf } from './flush-sync.ts'
import { Invocations } from './invocations.ts'
import { Ledger } from './ledger.ts'
import { SdkMetrics } from './metrics.ts'
import { Pace } from './pace.ts'
import type { Admission, SpanQueue } from './queue.ts'
import { describe, log, type ReportCallbacks, Reporter } from './report.ts'
import { RequestDrains } from './request-drains.ts'
import type { RetryOptions } from './retry.ts'
import { LateEncodingRing, SpanRing } from './ring.ts'
import { SizeLimit } from './size-limit.ts'
import { spillSource } from './spill-source.ts'
import { suppressTracing } from './suppress.ts'
import { TraceArena, TraceRing } from './trace-queue.ts'

/** What the stages have to know. */
export interface PipelineConfiguration extends BacklogLimits, ReportCallbacks {
  readonly maxExportBatchSize: number
  readonly maxExportBatchBytes: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
  readonly encodeAt: 'end' | 'flush'
  readonly requestScoped: boolean
  readonly retry: RetryOptions
  readonly circuitBreaker: CircuitBreakerOptions | undefined
  readonly maxExportsPerSecond: number | undefined
  readonly selfObsMeterProvider: MeterProvider | undefined
}

/** Of the time for a shutdown, so much is kept for writing to the spool what could not be sent, in milliseconds. */
const SPILL_MILLIS = 250

/** The pipeline behind one processor, whatever kind of exporter it drives. */
export interface Pipeline {
  /** Takes in a span that just ended. Never throws. */
  offer(span: ReadableSpan, sendSoon: boolean): void
  /** Counts a span that is not taken in. */
  refuse(reason: DropReason): void
  flush(call: CallOptions): Promise<FlushResult>
  /** The same without letting the event loop turn: for the end of a process. */
  flushSync(call: FlushSyncCall): Omit<FlushResult, 'openSpans'>
  /** The page is hidden, perhaps for the last time. Returns false where nothing can outlive it. */
  pageHidden(isLast: boolean): boolean
  /** An invocation of a function begins, or its last flush has settled. */
  invocation(event: 'start' | 'end'): void
  /** @param openSpans - Sampled spans that have not ended: of the whole processor. */
  stats(openSpans: number): PipelineStats
}

/** An exporter with several destinations, each of which gets a pipeline of its own: see `fanOut`. */
export interface BranchingExporter extends SpanExporter {
  /** @param open - Opens the pipeline of one destination. */
  [openBranches](open: (exporter: SpanExporter, encoderFor: EncoderFor) => Pipeline): Pipeline
}

/** What a pipeline encodes with, given the exporter's own encoder. */
export type EncoderFor = (own: SpanEncoder) => SpanEncoder

/** A pipeline for an exporter of ours: spans wait encoded, unless `encodeAt` says otherwise. */
export function openPipeline(
  configuration: PipelineConfiguration,
  exporter: PipelineExporter,
  reporter = new Reporter(configuration),
  encoderFor: EncoderFor = (own) => own,
): Pipeline {
  const encoder = encoderFor(exporter.createEncoder())
  return new PipelineOf<EncodedBatch>(
    configuration,
    exporter,
    reporter,
    configuration.encodeAt === 'end'
      ? (admission) => new (byTrace(configuration) ? TraceArena : Arena)(encoder, admission)
      : ringOf(configuration, (admission) => new LateEncodingRing(encoder, admission)),
  )
}

/** A pipeline for an exporter that takes objects. */
export function openSpanPipeline(
  configuration: PipelineConfiguration,
  sender: Sender<ReadableSpan[]>,
): Pipeline {
  return new PipelineOf<ReadableSpan[]>(
    configuration,
    sender,
    new Reporter(configuration),
    ringOf(configuration, (admission) => new SpanRing(admission)),
  )
}

function byTrace({ dropPolicy }: PipelineConfiguration): boolean {
  return dropPolicy === 'oldest-trace'
}

function ringOf<Payload>(
  configuration: PipelineConfiguration,
  create: (admission: Admission) => SpanQueue<Payload>,
): (admission: Admission) => SpanQueue<Payload> {
  return byTrace(configuration) ? (admission) => new TraceRing(admission, create) : create
}

class PipelineOf<Payload> implements Pipeline {
  readonly #ledger: Ledger
  readonly #backlog: Backlog<Payload>
  readonly #invocations: Invocations
  readonly #loop: DrainLoop<Payload> | RequestDrains<Payload>

  constructor(
    configuration: PipelineConfiguration,
    sender: Sender<Payload>,
    reporter: Reporter,
    createQueue: (admission: Admission) => SpanQueue<Payload>,
  ) {
    const { retry, circuitBreaker, maxExportsPerSecond, exportTimeoutMillis } = configuration
    const breaker = circuitBreaker && new CircuitBreaker(circuitBreaker)
    const pace = new Pace(retry, breaker, maxExportsPerSecond)
    const metrics = this.#openMetrics(configuration, sender)
    this.#ledger = new Ledger((reason, count, place) => {
      reporter.dropped(reason, count)
      metrics?.dropped(reason, count, place)
      this.#loop.spansDropped()
    })
    const onEncodeError = (cause: unknown) => reporter.encodingFailed(cause)
    this.#backlog = new Backlog(createQueue, configuration, this.#ledger, onEncodeError)
    this.#invocations = new Invocations(this.#backlog, reporter)
    const options = {
      maxExportBatchSize: configuration.maxExportBatchSize,
      maxExportBatchBytes: configuration.maxExportBatchBytes,
      scheduledDelayMillis: configuration.scheduledDelayMillis,
      roundMillis: Math.min(
        exportTimeoutMillis || MAX_DELAY_MILLIS,
        sender.timeoutMillis ?? MAX_DELAY_MILLIS,
      ),
      maxAttempts: retry.maxAttempts,
    }
    const books = { ledger: this.#ledger, pace, sizeLimit: new SizeLimit(), reporter, metrics }
    const source = spillSource(this.#backlog, books, options, () => this.#loop)
    const spiller = sender.openSpiller?.(source)
    if (spiller !== undefined) this.#ledger.spooled = 0
    this.#backlog.spiller = spiller
    const Drains = configuration.requestScoped ? RequestDrains : DrainLoop
    this.#loop = new Drains(this.#backlog, sender, { ...books, spiller }, options)
  }

  offer(span: ReadableSpan, sendSoon: boolean): void {
    // Encoding may run a getter, whose own work is not to be traced. The loop is woken in the request's own context.
    suppressTracing(() => this.#backlog.offer(span))
    try {
      if (sendSoon) this.#loop.wakeSoon(this.#backlog.newestSequence)
      else this.#loop.spanEnded()
    } catch {
      // A Worker outside a request has no timers. The span waits for whatever wakes the loop next.
    }
  }

  refuse(reason: DropReason): void {
    this.#ledger.spanRefused(reason)
  }

  flush(call: CallOptions): Promise<FlushResult> {
    this.#invocations.flushing()
    if (!call.isShutdown || this.#backlog.spiller === undefined) return this.#loop.flush(call)
    const timeoutMillis = call.timeoutMillis - Math.min(SPILL_MILLIS, call.timeoutMillis / 4)
    return this.#loop.flush({ ...call, timeoutMillis })
  }

  flushSync(call: FlushSyncCall): Omit<FlushResult, 'openSpans'> {
    const startedAt = monotonicNow()
    const tally = this.#ledger.open(this.#backlog.newestSequence)
    this.#loop.flushSync(call)
    this.#ledger.close(tally)
    const durationMillis = monotonicNow() - startedAt
    return resultOf(tally, this.#loop.pendingThrough(tally.watermark), durationMillis, call.timeoutMillis)
  }

  pageHidden(isLast: boolean): boolean {
    return this.#loop.pageHidden(isLast)
  }

  invocation(event: 'start' | 'end'): void {
    if (event === 'start') this.#invocations.started()
    else this.#invocations.ended()
  }

  stats(openSpans: number): PipelineStats {
    const { ended, exported, rejected, failed, dropped, spooled } = this.#ledger
    return {
      ended,
      exported,
      rejected,
      failed,
      dropped: { ...dropped },
      pending: this.#loop.pendingThrough(Infinity),
      pendingBytes: this.#loop.pendingBytes,
      inFlight: this.#loop.inFlight,
      openSpans,
      ...(spooled !== undefined && { spooled }),
    }
  }

  #openMetrics(
    { selfObsMeterProvider, maxQueueSize }: PipelineConfiguration,
    sender: Sender<Payload>,
  ): SdkMetrics | undefined {
    if (selfObsMeterProvider === undefined) return undefined
    try {
      return new SdkMetrics(selfObsMeterProvider, {
        maxQueueSize,
        exporter: sender.description,
        queueSize: () => this.#backlog.count,
        measureExporter: (meter, attributes) => sender.measureWith?.(meter, attributes),
      })
    } catch (cause) {
      log('warn', `there will be no metrics: ${describe(cause)}`)
      return undefined
    }
  }
}
