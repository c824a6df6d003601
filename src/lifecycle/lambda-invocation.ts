/** One invocation: what time it has left, and what is flushed when. */
import type { FlushAllowance } from '../flush-policy.ts'
import { holdEnvironment, isNeverFrozen } from './lambda-internal-extension.ts'
import type { LambdaTarget } from './lambda-target.ts'

/** As much of Lambda's context object as is read. */
export interface LambdaContext {
  readonly awsRequestId?: string
  readonly functionName?: string
  readonly invokedFunctionArn?: string
  getRemainingTimeInMillis?(): number
}

/** How a wrapped handler flushes. */
export interface FlushSettings {
  readonly target: LambdaTarget
  readonly timeoutMillis: number
  readonly marginMillis: number
  readonly isAfterResponse: boolean
}

/**
 * An invocation of a wrapped handler.
 *
 *     begin ─► handler ─────────► settle ─► flush ─► response                         before-response
 *       │        └ rescue flush      └────► response ─► drain ─► release              after-response
 *       └ holds the environment open, if it may ────────────────────┘
 */
export class Invocation {
  readonly requestId: string | undefined
  readonly #settings: FlushSettings
  /** When Lambda ends the invocation, on the monotonic clock; infinite when that is unknown. */
  readonly #endsAt: number
  /** Lets Lambda freeze the environment. There is none where the flush must be over before the response. */
  readonly #release: (() => void) | undefined
  #rescueTimer: NodeJS.Timeout | undefined
  #releaseTimer: NodeJS.Timeout | undefined
  /** All flushes after the handler share one budget: set when the first of them begins. */
  #budgetEndsAt = Number.POSITIVE_INFINITY
  #flushed: Promise<void> | undefined
  /** Flushes that others asked for, and that have begun. */
  readonly #begun: Promise<unknown>[] = []
  /** The same, to begin after the response. */
  readonly #putOff: ((options: { timeoutMillis: number }) => Promise<unknown>)[] = []
  #isOver = false

  constructor(settings: FlushSettings, context: LambdaContext | undefined) {
    this.#settings = settings
    const remainingMillis = remainingTime(context)
    this.#endsAt = performance.now() + remainingMillis
    this.requestId = typeof context?.awsRequestId === 'string' ? context.awsRequestId : undefined
    this.#release = settings.isAfterResponse ? holdEnvironment(this.requestId) : undefined
    settings.target.invocationStarted(!isNeverFrozen())
    if (remainingMillis === Number.POSITIVE_INFINITY) return
    const { marginMillis, target } = settings
    const rescue = () => target.flush(this.#endsAt - performance.now())
    this.#rescueTimer = quietTimer(rescue, remainingMillis - 2 * marginMillis)
    // Whatever holds up the response: the environment is not held for longer than Lambda waits for it.
    if (this.#release) this.#releaseTimer = quietTimer(this.#release, remainingMillis - marginMillis)
  }

  /** Whether flushes wait until the response has gone. */
  get isHeld(): boolean {
    return this.#release !== undefined
  }

  /** Its last flush is over, or Lambda has ended it. */
  get isOver(): boolean {
    return this.#isOver || this.#isEnded
  }

  get #isEnded(): boolean {
    return performance.now() > this.#endsAt
  }

  /** Whether an export may be under way, this invocation's or an earlier one's. */
  get isExporting(): boolean {
    return this.#settings.target.isExporting
  }

  /** How long a flush may take that begins now, in milliseconds. */
  get budgetMillis(): number {
    const now = performance.now()
    const { timeoutMillis, marginMillis } = this.#settings
    const untilMargin = this.#endsAt - marginMillis - now
    return Math.max(0, Math.min(timeoutMillis, this.#budgetEndsAt - now, untilMargin))
  }

  /** What a flush without options may take; `undefined` once Lambda has ended the invocation. */
  allowance(): FlushAllowance | undefined {
    if (this.#isEnded) return undefined
    const timeoutMillis = this.budgetMillis
    if (!this.isHeld || this.#isOver) return { timeoutMillis }
    return {
      timeoutMillis,
      defer: (flush) => {
        // Until the handler has its outcome there is no response to be quick for.
        if (this.#flushed === undefined) this.#begun.push(flush({ timeoutMillis }))
        else this.#putOff.push(flush)
      },
    }
  }

  /**
   * The handler has an outcome. Answers `undefined` when the response may go at once, and otherwise what it must wait
   * for; that never rejects. A handler may have several outcomes (a callback and a promise); each waits for its own.
   * @param whenResponded - Calls back once the response to come has left the process.
   */
  settle(whenResponded: (drain: () => void) => void = afterTwoTurns): Promise<void> | undefined {
    if (this.#flushed === undefined) {
      clearTimeout(this.#rescueTimer)
      this.#budgetEndsAt = performance.now() + this.#settings.timeoutMillis
    }
    if (this.isHeld) {
      this.#flushed ??= new Promise((resolve) => {
        whenResponded(() => resolve(this.#drain()))
      })
      return undefined
    }
    const flush = async () => void (await this.#settings.target.flush(this.budgetMillis))
    this.#flushed = this.#flushed === undefined ? flush() : this.#flushed.then(flush)
    // Whoever wraps this handler may still end a span on its outcome: that one belongs to this invocation.
    this.whenFlushed(() => this.#end())
    return this.#flushed
  }

  /** Calls back, in a later turn of the event loop, when what `settle` has begun is over. */
  whenFlushed(callback: () => void): void {
    this.#flushed?.then(() => setImmediate(callback))
  }

  /** Sends what the invocation has left behind, then lets go of the environment. */
  async #drain(): Promise<void> {
    this.#putOff.push(() => this.#settings.target.flush(this.budgetMillis))
    while (this.#putOff.length > 0) {
      const timeoutMillis = this.budgetMillis
      const late = this.#putOff.splice(0).map((flush) => flush({ timeoutMillis }))
      await Promise.allSettled([...this.#begun.splice(0), ...late])
    }
    this.#end()
    clearTimeout(this.#releaseTimer)
    this.#release?.()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#settings.target.invocationEnded()
  }
}

/** A timer that does not keep the event loop alive: a callback handler's response may wait for that to be empty. */
function quietTimer(callback: () => void, delayMillis: number): NodeJS.Timeout {
  return setTimeout(callback, Math.max(0, delayMillis)).unref()
}

/**
 * The runtime clients post a response within the turn of the event loop after the handler's outcome, and synchronously.
 */
function afterTwoTurns(drain: () => void): void {
  setImmediate(() => setImmediate(drain))
}

/** What Lambda leaves the invocation, in milliseconds; infinite without a context that says so. */
function remainingTime(context: LambdaContext | undefined): number {
  try {
    const remaining = context?.getRemainingTimeInMillis?.()
    return typeof remaining === 'number' && remaining >= 0 ? remaining : Number.POSITIVE_INFINITY
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
