/**
 * Several destinations, each of which gets every span. Under our processor each has a whole pipeline of its own:
 *
 *                              ┌► queue ──► drain loop ──► exporters[0]    ledger, breaker, pace: its own
 *     span.end() ──► encode ──┤
 *                              └► queue ──► drain loop ──► exporters[1]    ledger, breaker, pace: its own
 *
 * so that they share nothing that one could hold up for another. A span is encoded once for all that want the same
 * encoding: see `SharedEncoders`.
 */
import { monotonicNow } from '../pipeline/deadline.ts'
import type { CallOptions } from '../pipeline/flush.ts'
import type { FlushSyncCall } from '../pipeline/flush-sync.ts'
import { LateSpans } from '../pipeline/late-spans.ts'
import type { BranchingExporter, EncoderFor, Pipeline } from '../pipeline/pipeline.ts'
import { callBack } from '../pipeline/report.ts'
import {
  type DropReason,
  type ExportResult,
  type FlushResult,
  openBranches,
  type PipelineStats,
  type ReadableSpan,
  type SpanExporter,
} from '../types.ts'
import { checkDestinations, forAll } from './destinations.ts'
import { SharedEncoders } from './shared-encoder.ts'

/**
 * Gives every span to each of the exporters. Under tailrace's `BatchSpanProcessor` each destination has a queue, retries,
 * a circuit breaker and a ledger of its own, all with the processor's options: a slow or broken one holds up no other.
 * The caps, `maxQueueSize` (2048 spans) and `maxQueueBytes` (8 MiB), are for each of them. A span is encoded once for all
 * that want the same encoding, and waits for each of them.
 *
 * `flush` and `shutdown` settle when every destination has settled, or at the caller's deadline; `stats()` and
 * `FlushResult` count a span once for each destination, and have the part of each in `destinations`. Under any other
 * processor it is a `SpanExporter` that has exported when all of them have. Exporters are shut down with it.
 *
 * @param exporters - Ours, stock ones, or what `fanOut` and `failover` return.
 * @throws TypeError that names the one that is no exporter, or is there twice.
 *
 * @example
 * ```ts
 * import { fanOut } from 'tailrace/fan-out'
 *
 * const vendor = new OTLPTraceExporter({ url: 'https://otlp.example.com/v1/traces' })
 * const processor = new BatchSpanProcessor(fanOut([new OTLPTraceExporter(), vendor]))
 * const [local, remote] = processor.stats().destinations ?? []
 * ```
 */
export function fanOut(exporters: readonly SpanExporter[]): SpanExporter {
  return new FanOut(checkDestinations('fanOut', exporters))
}

class FanOut implements BranchingExporter {
  readonly #exporters: readonly SpanExporter[]

  constructor(exporters: readonly SpanExporter[]) {
    this.#exporters = exporters
  }

  /** For processors of others: all at once, and the result is that of the worst. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    let left = this.#exporters.length
    let worst: ExportResult = { code: 0 }
    for (const exporter of this.#exporters) {
      let isSettled = false
      const settle = (result: ExportResult) => {
        if (isSettled) return
        isSettled = true
        if (worst.code === 0) worst = result
        if (--left === 0) callBack(resultCallback, worst)
      }
      const fail = (cause: unknown) =>
        settle({ code: 1, error: cause instanceof Error ? cause : new Error(String(cause)) })
      try {
        // An async `export` that rejects never calls back.
        Promise.resolve<unknown>(exporter.export(spans, settle)).then(undefined, fail)
      } catch (cause) {
        fail(cause)
      }
    }
  }

  forceFlush(): Promise<void> {
    return forAll(this.#exporters, (exporter) => exporter.forceFlush?.())
  }

  shutdown(): Promise<void> {
    return forAll(this.#exporters, (exporter) => exporter.shutdown())
  }

  [openBranches](open: (exporter: SpanExporter, encoderFor: EncoderFor) => Pipeline): Pipeline {
    const encoders = new SharedEncoders()
    const pipelines = this.#exporters.map((exporter) => open(exporter, (own) => encoders.faceFor(own)))
    return new Branches(pipelines, encoders)
  }
}

/** Pipelines side by side, for a processor that knows of one. */
class Branches implements Pipeline {
  readonly #pipelines: readonly Pipeline[]
  readonly #encoders: SharedEncoders
  #isGiving = false
  /** Spans that end while another is given to the branches, and whether they are to be sent soon. */
  readonly #late = new LateSpans<readonly [ReadableSpan, boolean]>()

  constructor(pipelines: readonly Pipeline[], encoders: SharedEncoders) {
    this.#pipelines = pipelines
    this.#encoders = encoders
  }

  /**
   * One after the other: making room for a span may run user code (a resource's getter, a logger) that ends another,
   * which must not be encoded over the record that the next branch is to copy.
   */
  offer(span: ReadableSpan, sendSoon: boolean): void {
    if (this.#isGiving) {
      if (!this.#late.add([span, sendSoon])) this.refuse('queue_full')
      return
    }
    this.#isGiving = true
    try {
      this.#give(span, sendSoon)
      this.#late.takeAll((late) => this.#give(...late))
    } finally {
      this.#isGiving = false
    }
  }

  refuse(reason: DropReason): void {
    for (const pipeline of this.#pipelines) pipeline.refuse(reason)
  }

  async flush(call: CallOptions): Promise<FlushResult> {
    // It covers what has ended, and some of that is not in yet.
    if (this.#isGiving) await undefined
    const results = await Promise.all(this.#pipelines.map((pipeline) => pipeline.flush(call)))
    return { ...sumOf(results), openSpans: call.openSpans, destinations: results }
  }

  /** One after the other, each within its share of the time that is left. */
  flushSync({ post, timeoutMillis }: FlushSyncCall): Omit<FlushResult, 'openSpans'> {
    const endsAt = monotonicNow() + timeoutMillis
    const results = this.#pipelines.map((pipeline, i) => {
      const share = Math.max(0, endsAt - monotonicNow()) / (this.#pipelines.length - i)
      return { ...pipeline.flushSync({ post, timeoutMillis: share }), openSpans: 0 }
    })
    return { ...sumOf(results), destinations: results }
  }

  pageHidden(isLast: boolean): boolean {
    const outlived = this.#pipelines.map((pipeline) => pipeline.pageHidden(isLast))
    if (!outlived.includes(true)) return false
    // Where nothing can outlive the page it is flushed, as it would be without the others.
    this.#pipelines.forEach((pipeline, i) => {
      if (!outlived[i]) pipeline.flush({ timeoutMillis: 0, openSpans: 0, isShutdown: false })
    })
    return true
  }

  invocation(event: 'start' | 'end'): void {
    for (const pipeline of this.#pipelines) pipeline.invocation(event)
  }

  stats(openSpans: number): PipelineStats {
    const destinations = this.#pipelines.map((pipeline) => pipeline.stats(openSpans))
    const [first, ...others] = destinations as [PipelineStats, ...PipelineStats[]]
    const sum: PipelineStats = { ...first, dropped: { ...first.dropped }, destinations }
    for (const stats of others) {
      sum.ended += stats.ended
      sum.exported += stats.exported
      sum.rejected += stats.rejected
      sum.failed += stats.failed
      sum.pending += stats.pending
      sum.pendingBytes += stats.pendingBytes
      sum.inFlight += stats.inFlight
      if (stats.spooled !== undefined) sum.spooled = (sum.spooled ?? 0) + stats.spooled
      for (const reason of Object.keys(sum.dropped) as DropReason[])
        sum.dropped[reason] += stats.dropped[reason]
    }
    return sum
  }

  #give(span: ReadableSpan, sendSoon: boolean): void {
    this.#encoders.begin(span)
    try {
      for (const pipeline of this.#pipelines) pipeline.offer(span, sendSoon)
    } finally {
      this.#encoders.end()
    }
  }
}

/** What became of the spans at all destinations; the status is the worst of theirs. */
function sumOf(results: readonly FlushResult[]): Omit<FlushResult, 'openSpans'> {
  const { status, error } =
    results.find((result) => result.status === 'timeout') ??
    results.find((result) => result.status === 'failure') ??
    (results[0] as FlushResult)
  const sum: Omit<FlushResult, 'openSpans'> = {
    status,
    exported: 0,
    rejected: 0,
    failed: 0,
    dropped: 0,
    pending: 0,
    durationMillis: 0,
  }
  for (const each of results) {
    sum.exported += each.exported
    sum.rejected += each.rejected
    sum.failed += each.failed
    sum.dropped += each.dropped
    sum.pending += each.pending
    sum.durationMillis = Math.max(sum.durationMillis, each.durationMillis)
    if (each.spooled !== undefined) sum.spooled = (sum.spooled ?? 0) + each.spooled
  }
  if (error !== undefined) sum.error = error
  return sum
}
