/** Several destinations, of which each batch goes to the first that takes it. */
import { MAX_DELAY_MILLIS, monotonicNow, startTimer, unlessAborted } from '../pipeline/deadline.ts'
import type { FlushSyncCall } from '../pipeline/flush-sync.ts'
import { callBack, describe, show } from '../pipeline/report.ts'
import {
  type Attempt,
  type EncodedBatch,
  type EncodingExporter,
  ExportError,
  type ExportResult,
  type Outcome,
  type PipelineExporter,
  pipelineExporter,
  type ReadableSpan,
  type Sender,
  type SpanEncoder,
  type SpanExporter,
} from '../types.ts'
import { checkDestinations, forAll } from './destinations.ts'
import { StockExporterAdapter } from './standard.ts'

/** What `failover()` takes. */
export interface FailoverOptions {
  /** A destination that failed is passed over for so long, unless all have failed. In milliseconds, default 30000. */
  readonly probeIntervalMillis?: number | undefined
  /** How long one destination may take before the next is asked. In milliseconds, default 10000. */
  readonly attemptTimeoutMillis?: number | undefined
}

/**
 * Gives each batch to the first of the exporters that takes it. One that fails, times out or refuses what another one
 * takes is passed over for `probeIntervalMillis`, or for as long as its `Retry-After` says if that is longer; then the
 * next batch tries it again. While all of them fail nothing is lost: under tailrace's `BatchSpanProcessor` the batch waits
 * and is sent again, as with a single destination, and the circuit breaker sees one failure.
 *
 * Spans wait encoded, for all destinations alike, if all are exporters of tailrace with the same encoding:
 * `JsonLinesExporter` goes with `new OTLPTraceExporter({ encoding: 'json' })`. Otherwise they wait as objects, ours retry
 * within their own `export`, and a batch that nobody took has failed, as with any stock exporter. A destination that was too
 * slow may have had the batch all the same: at least once, not exactly once. Exporters are shut down with it.
 *
 * @param exporters - The preferred one first.
 * @throws TypeError | RangeError that names the exporter or the option and its value.
 *
 * @example
 * ```ts
 * import { failover } from 'tailrace/fan-out'
 *
 * const primary = new OTLPTraceExporter({ url: 'https://eu.example.com/v1/traces' })
 * const secondary = new OTLPTraceExporter({ url: 'https://us.example.com/v1/traces' })
 * const processor = new BatchSpanProcessor(failover([primary, secondary]))
 * ```
 */
export function failover(exporters: readonly SpanExporter[], options: FailoverOptions = {}): SpanExporter {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`failover: options must be an object, not ${show(options)}`)
  }
  return new Failover(checkDestinations('failover', exporters), {
    probeIntervalMillis: millis('probeIntervalMillis', options.probeIntervalMillis, 0, 30_000),
    attemptTimeoutMillis: millis('attemptTimeoutMillis', options.attemptTimeoutMillis, 1, 10_000),
  })
}

function millis(name: keyof FailoverOptions, value: unknown, min: number, fallback: number): number {
  if (value === undefined) return fallback
  if (typeof value === 'number' && value >= min && value <= MAX_DELAY_MILLIS) return value
  const ErrorType = typeof value === 'number' ? RangeError : TypeError
  throw new ErrorType(
    `failover: ${name} must be a number from ${min} to ${MAX_DELAY_MILLIS}, not ${show(value)}`,
  )
}

type Post = NonNullable<FlushSyncCall['post']>

type Patience = Required<{ [Name in keyof FailoverOptions]: number }>

class Failover implements EncodingExporter {
  readonly #exporters: readonly SpanExporter[]
  readonly #patience: Patience
  /** For processors of others, and where the encodings differ. */
  #objects: FirstThatTakes<ReadableSpan[]> | undefined

  constructor(exporters: readonly SpanExporter[], patience: Patience) {
    this.#exporters = exporters
    this.#patience = patience
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#objects ??= new FirstThatTakes(
      this.#exporters.map((exporter) => new StockExporterAdapter(exporter)),
      this.#patience,
    )
    const attempt = { signal: new AbortController().signal, timeoutMillis: MAX_DELAY_MILLIS }
    this.#objects.send(spans, attempt).then((outcome) => {
      const result = outcome.kind === 'delivered' ? { code: 0 } : { code: 1, error: outcome.error }
      callBack(resultCallback, result)
    })
  }

  forceFlush(): Promise<void> {
    return forAll(this.#exporters, (exporter) => exporter.forceFlush?.())
  }

  shutdown(): Promise<void> {
    return forAll(this.#exporters, (exporter) => exporter.shutdown())
  }

  [pipelineExporter](): PipelineExporter | undefined {
    const sides: PipelineExporter[] = []
    for (const exporter of this.#exporters) {
      const side = (exporter as Partial<EncodingExporter>)[pipelineExporter]?.()
      if (side?.encoding === undefined || side.encoding !== (sides[0] ?? side).encoding) return undefined
      sides.push(side)
    }
    return new EncodedFailover(sides, this.#patience)
  }
}

/** Asks one destination after the other. */
class FirstThatTakes<Payload> implements Sender<Payload> {
  readonly description = { type: 'failover_span_exporter' }
  readonly isSerial: boolean
  readonly #senders: readonly Sender<Payload>[]
  readonly #patience: Patience
  /** Until when each of them is passed over. */
  readonly #downUntil = new Map<Sender<Payload>, number>()

  constructor(senders: readonly Sender<Payload>[], patience: Patience) {
    this.#senders = senders
    this.#patience = patience
    this.isSerial = senders.some((sender) => sender.isSerial === true)
  }

  async send(payload: Payload, attempt: Attempt): Promise<Outcome> {
    const endsAt = monotonicNow() + attempt.timeoutMillis
    const refusals: [Sender<Payload>, FailedOutcome][] = []
    const candidates = this.candidates()
    for (const [i, sender] of candidates.entries()) {
      const share = (endsAt - monotonicNow()) / (candidates.length - i)
      const outcome = await this.#ask(sender, payload, attempt, share)
      if (!isRefusal(outcome)) return this.#settled(outcome, sender, refusals)
      refusals.push([sender, outcome])
      if (attempt.signal.aborted) break
      if (outcome.kind === 'retryable') this.#passOver(sender, outcome)
    }
    return verdict(refusals.map(([, refusal]) => refusal))
  }

  /** The same by somebody who blocks. Impossible where it is for all of them: the others are left out. */
  sendSync(payload: Payload, post: Post, timeoutMillis: number): Outcome | undefined {
    const endsAt = monotonicNow() + timeoutMillis
    const refusals: [Sender<Payload>, FailedOutcome][] = []
    const candidates = this.candidates().filter((sender) => sender.sendSync !== undefined)
    for (const [i, sender] of candidates.entries()) {
      const share = Math.max(0, endsAt - monotonicNow()) / (candidates.length - i)
      const outcome = sender.sendSync?.(payload, post, this.#timeoutOf(sender, share))
      if (outcome === undefined) continue
      if (!isRefusal(outcome)) return this.#settled(outcome, sender, refusals)
      refusals.push([sender, outcome])
      if (outcome.kind === 'retryable') this.#passOver(sender, outcome)
    }
    return refusals.length === 0 ? undefined : verdict(refusals.map(([, refusal]) => refusal))
  }

  forceFlush = async (): Promise<void> => {
    await Promise.all(this.#senders.map(async (sender) => sender.forceFlush?.()))
  }

  async shutdown(): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.shutdown()))
  }

  abandoned(payload: Payload): void {
    for (const sender of this.#senders) sender.abandoned?.(payload)
  }

  /** Those that are not passed over just now, then the others, as a last resort. */
  protected candidates(): Sender<Payload>[] {
    const now = monotonicNow()
    const isUp = (sender: Sender<Payload>) => (this.#downUntil.get(sender) ?? 0) <= now
    return [...this.#senders.filter(isUp), ...this.#senders.filter((sender) => !isUp(sender))]
  }

  /** Nobody else is asked. */
  #settled(
    outcome: Outcome,
    sender: Sender<Payload>,
    refusals: readonly [Sender<Payload>, FailedOutcome][],
  ): Outcome {
    // A smaller one is the loop's to make.
    if (outcome.kind === 'too_large') return outcome
    this.#downUntil.delete(sender)
    // Somebody takes it: it is not the batch that is to blame.
    for (const [refusing, refusal] of refusals) this.#passOver(refusing, refusal)
    return outcome
  }

  #timeoutOf({ attemptTimeoutMillis = Infinity }: Sender<Payload>, shareMillis: number): number {
    return Math.min(shareMillis, attemptTimeoutMillis, this.#patience.attemptTimeoutMillis)
  }

  #passOver(sender: Sender<Payload>, outcome: FailedOutcome): void {
    const { retryAfterMillis = 0 } = outcome as { retryAfterMillis?: number }
    const { probeIntervalMillis } = this.#patience
    this.#downUntil.set(sender, monotonicNow() + Math.max(probeIntervalMillis, retryAfterMillis))
  }

  /** One destination, within its share of the time; a socket that died of old age is worth a second request at once. */
  async #ask(
    sender: Sender<Payload>,
    payload: Payload,
    attempt: Attempt,
    shareMillis: number,
  ): Promise<Outcome> {
    const timeoutMillis = this.#timeoutOf(sender, shareMillis)
    const controller = new AbortController()
    const onAbort = () => controller.abort(attempt.signal.reason)
    if (attempt.signal.aborted) onAbort()
    attempt.signal.addEventListener('abort', onAbort)
    const tooSlow = new ExportError('timeout', `no answer within ${Math.round(timeoutMillis)} ms`)
    const timer = startTimer(() => controller.abort(tooSlow), timeoutMillis)
    try {
      const own = { ...attempt, signal: controller.signal, timeoutMillis }
      const outcome = await answer(sender, payload, own)
      const isStale = outcome?.kind === 'retryable' && outcome.staleSocket === true
      return (isStale ? await answer(sender, payload, own) : outcome) ?? { kind: 'retryable', error: tooSlow }
    } finally {
      timer.cancel()
      attempt.signal.removeEventListener('abort', onAbort)
    }
  }
}

type FailedOutcome = Exclude<Outcome, { kind: 'delivered' | 'too_large' }>

function isRefusal(outcome: Outcome): outcome is FailedOutcome {
  return outcome.kind !== 'delivered' && outcome.kind !== 'too_large'
}

/** What a sender answers; `undefined` when it was aborted and has not. Never rejects. */
async function answer<Payload>(
  sender: Sender<Payload>,
  payload: Payload,
  attempt: Attempt,
): Promise<Outcome | undefined> {
  let outcome: Outcome | undefined
  const settle = async () => {
    try {
      outcome = await sender.send(payload, attempt)
    } catch (cause) {
      const message = `the exporter threw: ${describe(cause)}`
      outcome = { kind: 'final', error: new ExportError('exporter_failed', message, { cause }) }
    }
  }
  await unlessAborted(settle(), attempt.signal)
  return outcome
}

/** What the loop is told when nobody took the batch: it is worth another attempt if any of them may take it then. */
function verdict(refusals: readonly FailedOutcome[]): Outcome {
  const retryable = refusals.filter((refusal) => refusal.kind === 'retryable')
  const [first = refusals[0] as FailedOutcome] = retryable
  if (first.kind === 'final') return first
  // As soon as one of them is to be asked again. A socket is fresh by now.
  const retryAfterMillis = Math.min(...retryable.map((refusal) => refusal.retryAfterMillis ?? 0))
  const { error } = first
  return retryAfterMillis > 0 ? { kind: 'retryable', error, retryAfterMillis } : { kind: 'retryable', error }
}

class EncodedFailover extends FirstThatTakes<EncodedBatch> implements PipelineExporter {
  readonly encoding: string
  readonly maxRequestBytes: number
  readonly timeoutMillis: number | undefined
  readonly defaultBatchBytes: number | undefined
  readonly #sides: readonly PipelineExporter[]

  constructor(sides: readonly PipelineExporter[], patience: Patience) {
    super(sides, patience)
    this.#sides = sides
    this.encoding = (sides[0] as PipelineExporter).encoding as string
    this.maxRequestBytes = Math.max(...sides.map((side) => side.maxRequestBytes))
    // Each of them may use its own up before the next is asked.
    const timeouts = sides.map((side) => side.timeoutMillis ?? Infinity)
    const sum = timeouts.reduce((total, each) => total + each)
    if (sum <= MAX_DELAY_MILLIS) this.timeoutMillis = sum
    const batchBytes = Math.min(...sides.map((side) => side.defaultBatchBytes ?? Infinity))
    if (batchBytes < Infinity) this.defaultBatchBytes = batchBytes
  }

  createEncoder(): SpanEncoder {
    return (this.#sides[0] as PipelineExporter).createEncoder()
  }

  keepaliveBytes(): number | undefined {
    return this.candidates()[0]?.keepaliveBytes?.()
  }
}
