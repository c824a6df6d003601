/** The callers of flush and shutdown: what each of them covers, and how long it waits. */
import type { RequestScope } from '../request.ts'
import { ExportError, type FlushResult } from '../types.ts'
import { monotonicNow, NO_TIMER, startTimer, type Timer } from './deadline.ts'
import type { Ledger, Tally } from './ledger.ts'
import type { OpenSpansWait } from './open-spans.ts'

/** What a caller brings along. */
export interface CallOptions {
  /** How long it waits, in milliseconds. */
  readonly timeoutMillis: number
  readonly signal?: AbortSignal | undefined
  /** Sampled spans that were open when it called: for its result. */
  readonly openSpans: number
  /** It covers what has ended when this is over, not when it called. */
  readonly after?: OpenSpansWait | undefined
  /** False where nobody waits whom the process should stay alive for. Default true. */
  readonly keepsProcessAlive?: boolean
  /** It does not wait for a backoff. Default true. */
  readonly cutsBackoff?: boolean
  /** It ends the pipeline, too. */
  readonly isShutdown: boolean
  /** The request ends with the call: what it holds by then is for others to send. */
  readonly endsRequest?: boolean
  /** The request that it runs in, where the caller knows it. Default: the one in the active context. */
  readonly request?: RequestScope | undefined
}

/** How a call came to its end. */
export type CallEnd =
  /** Everything that it covers is settled. */
  | 'covered'
  /** Its deadline came, or its signal was aborted. */
  | 'expired'
  /** Nothing more can happen before its deadline. */
  | 'hopeless'

/** A flush or shutdown that is waiting. Its promise never rejects. */
export class FlushCall {
  readonly promise: Promise<FlushResult>
  readonly tally: Tally
  readonly isShutdown: boolean
  /** All that it covers is settled; it waits for the exporter's own flush or shutdown. */
  isCovered = false
  readonly #options: CallOptions
  readonly #startedAt = monotonicNow()
  readonly #onExpire: () => void
  #timer: Timer = NO_TIMER
  #hasTimer = true
  #resolve: (result: FlushResult) => void = () => {}

  constructor(options: CallOptions, tally: Tally, onExpire: (call: FlushCall) => void) {
    this.#options = options
    this.tally = tally
    this.isShutdown = options.isShutdown
    this.#onExpire = () => onExpire(this)
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve
    })
    if (this.expiresAtOnce) return
    // A caller waits on this timer, so it keeps the process alive: no other one has to.
    this.#startTimer()
    options.signal?.addEventListener('abort', this.#onExpire)
  }

  get isAborted(): boolean {
    return this.#options.signal?.aborted === true
  }

  get expiresAtOnce(): boolean {
    return this.#options.timeoutMillis === 0 || this.isAborted || !this.#hasTimer
  }

  remainingMillis(now: number): number {
    return Math.max(0, this.#startedAt + this.#options.timeoutMillis - now)
  }

  settle(end: CallEnd, pending: number, error: ExportError | undefined): void {
    this.#timer.cancel()
    this.#options.signal?.removeEventListener('abort', this.#onExpire)
    this.#resolve(this.#result(end, pending, error))
  }

  #startTimer(): void {
    try {
      this.#timer = startTimer(
        this.#onExpire,
        this.#options.timeoutMillis,
        this.#options.keepsProcessAlive ?? true,
      )
    } catch {
      // A Worker outside a request has no timers: better to answer at once than perhaps never.
      this.#hasTimer = false
    }
  }

  #result(end: CallEnd, pending: number, error: ExportError | undefined): FlushResult {
    const { exported, rejected, failed, dropped, spooled } = this.tally
    const { openSpans } = this.#options
    const durationMillis = monotonicNow() - this.#startedAt
    const result: FlushResult = {
      status: 'success',
      exported,
      rejected,
      failed,
      dropped,
      pending,
      openSpans,
      durationMillis,
      ...(spooled > 0 && { spooled }),
    }
    const isTimeout = end === 'expired' && (pending > 0 || !this.expiresAtOnce)
    if (isTimeout) result.status = 'timeout'
    else if (rejected + failed + dropped + pending + spooled > 0) result.status = 'failure'
    else return result
    result.error =
      error ??
      this.tally.error ??
      (isTimeout
        ? new ExportError(
            this.isAborted ? 'aborted' : 'timeout',
            `${pending} spans were pending after ${Math.round(durationMillis)} ms`,
          )
        : new ExportError(
            'dropped',
            `${dropped} spans were dropped${spooled > 0 ? `, ${spooled} are in the spool` : ''}`,
          ))
    return result
  }
}

/** Everybody who is waiting just now. */
export class Callers {
  readonly #ledger: Ledger
  readonly #pendingThrough: (sequence: number) => number
  readonly #calls = new Set<FlushCall>()

  /** @param pendingThrough - Counts the spans up to a sequence that are not settled, by walking. */
  constructor(ledger: Ledger, pendingThrough: (sequence: number) => number) {
    this.#ledger = ledger
    this.#pendingThrough = pendingThrough
  }

  get isEmpty(): boolean {
    return this.#calls.size === 0
  }

  /** @param watermark - The newest span that the call waits for. */
  open(options: CallOptions, watermark: number, onExpire: (call: FlushCall) => void): FlushCall {
    const call = new FlushCall(options, this.#ledger.open(watermark), onExpire)
    this.#calls.add(call)
    return call
  }

  settle(call: FlushCall, end: CallEnd, error?: ExportError): void {
    if (!this.#calls.delete(call)) return
    this.#ledger.close(call.tally)
    call.settle(end, this.#pendingThrough(call.tally.watermark), error)
  }

  /** Those who wait for nothing older than `oldestPending`, each of them once. */
  takeCovered(oldestPending: number): FlushCall[] {
    const covered = [...this.#calls].filter((call) => !call.isCovered && oldestPending > call.tally.watermark)
    for (const call of covered) call.isCovered = true
    return covered
  }

  /** Those who still wait for spans, and for longer than not at all. */
  waiting(): FlushCall[] {
    return [...this.#calls].filter((call) => !call.isCovered && !call.expiresAtOnce)
  }

  /** Those whose time is over before a wait of so many milliseconds is. */
  hopeless(waitMillis: number, now: number): FlushCall[] {
    return waitMillis > 0 ? this.waiting().filter((call) => call.remainingMillis(now) <= waitMillis) : []
  }

  /** How long the least patient of them waits, in milliseconds. */
  leastMillis(now: number): number {
    return Math.min(...this.waiting().map((call) => call.remainingMillis(now)))
  }

  /** How long the most patient shutdown waits, in milliseconds; 0 when there is none. */
  shutdownMillis(now: number): number {
    let remaining = 0
    for (const call of this.#calls)
      if (call.isShutdown) remaining = Math.max(remaining, call.remainingMillis(now))
    return remaining
  }

  /** Whether anybody but `call` is shutting down. */
  hasOtherShutdown(call: FlushCall): boolean {
    return [...this.#calls].some((other) => other.isShutdown && other !== call)
  }
}
