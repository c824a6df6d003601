/**
 * When the next attempt may start, and when it has to have started. The two differ only by the jitter of the backoff
 * and the grain of the timers.
 */
import { backoffOf, type Settings } from './settings.ts'

/** Timers are as coarse as this, in milliseconds. */
export const TIMER_GRAIN_MILLIS = 2
const ROUNDING = 1e-6

/** How a failed attempt counts. */
export interface Failure {
  readonly now: number
  /** The process stood still meanwhile. */
  readonly wasFrozen: boolean
  readonly retryAfterMillis: number | undefined
}

/** For whom the next attempt is. */
export interface Purpose {
  /** The deadline of the most patient shutdown. */
  readonly shutdownDeadline: number
  /** It shows whether a suspect is to blame for its failures, or the backend. */
  readonly isDeciding: boolean
}

export class ExpectedPace {
  readonly #settings: Settings
  #failures = 0
  #breakerFailures = 0
  readonly #backoffUntil = { min: 0, max: 0 }
  #probeDueAt = 0
  #serverDelayUntil = 0
  #rateLimitUntil = 0
  #isCut = false
  /** A shutdown was called, and no attempt has begun since. */
  #owesLastAttempt = false
  isClosing = false

  constructor(settings: Settings) {
    this.#settings = settings
  }

  get isOpen(): boolean {
    const { circuitBreaker } = this.#settings
    return circuitBreaker !== false && this.#breakerFailures >= circuitBreaker.failureThreshold
  }

  get probeDueAt(): number {
    return this.#probeDueAt
  }

  get serverDelayUntil(): number {
    return this.#serverDelayUntil
  }

  /** Until when earlier failures can hold up the next attempt. */
  get heldUpUntil(): number {
    const breaker = this.isOpen && !this.isClosing ? this.#probeDueAt : 0
    return Math.max(this.#backoffUntil.max, this.#serverDelayUntil, breaker)
  }

  /** A flush or shutdown was called while nothing was on its way. */
  cutBackoff(): void {
    this.#isCut = true
  }

  /** Shutdown always tries once. */
  shutDown(): void {
    this.isClosing = this.#owesLastAttempt = true
  }

  /** The wait after the last failure, but for its jitter. */
  get nominalBackoffMillis(): number {
    if (this.#failures === 0) return 0
    const { initialBackoffMillis, maxBackoffMillis, multiplier } = backoffOf(this.#settings)
    let wait = initialBackoffMillis
    for (let i = 1; i < this.#failures; i++) wait *= multiplier
    return Math.min(wait, maxBackoffMillis)
  }

  attemptStarted(now: number): void {
    const { maxExportsPerSecond } = this.#settings
    if (maxExportsPerSecond !== undefined) this.#rateLimitUntil = now + 1000 / maxExportsPerSecond
    this.#isCut = this.#owesLastAttempt = false
    // It was waited for, or cut short: it holds up one attempt only.
    this.#backoffUntil.min = this.#backoffUntil.max = 0
  }

  /** The backend answered, if only to refuse. */
  answered(): void {
    this.#failures = this.#breakerFailures = 0
    this.#serverDelayUntil = this.#backoffUntil.min = this.#backoffUntil.max = 0
  }

  failed({ now, wasFrozen, retryAfterMillis }: Failure): void {
    this.#failures++
    const { jitter } = backoffOf(this.#settings)
    const wait = this.nominalBackoffMillis
    this.#backoffUntil.min = now + wait * (1 - jitter)
    this.#backoffUntil.max = now + wait * (1 + jitter)
    this.askedForPatience(now, retryAfterMillis)
    if (wasFrozen) return
    this.#breakerFailures++
    const { circuitBreaker } = this.#settings
    if (circuitBreaker !== false) this.#probeDueAt = now + circuitBreaker.probeIntervalMillis
  }

  /** The server named a time, and is taken at its word whatever else it said. */
  askedForPatience(now: number, retryAfterMillis = 0): void {
    this.#serverDelayUntil = now + retryAfterMillis
  }

  /** Why an attempt must not start now, if so. */
  whyNot(now: number, { shutdownDeadline, isDeciding }: Purpose): string | undefined {
    const soon = now + ROUNDING
    if (soon < this.#rateLimitUntil) return `the rate limit holds until ${this.#rateLimitUntil}`
    if (soon < this.#serverDelayUntil && !this.#isLastChance(shutdownDeadline)) {
      return `the server asked for patience until ${this.#serverDelayUntil}`
    }
    if (isDeciding) return undefined
    if (this.isOpen && !this.isClosing && soon < this.#probeDueAt) {
      return `the breaker is open and its probe due at ${this.#probeDueAt}`
    }
    // The probe of an open breaker has waited for long enough.
    const isProbe = this.isOpen && !this.isClosing
    if (!this.#ignoresBackoff && !isProbe && soon < this.#backoffUntil.min) {
      return `the backoff lasts until ${this.#backoffUntil.min}`
    }
    return undefined
  }

  /** When an attempt has to have started, if there is a reason for one. */
  latestStart({ shutdownDeadline, isDeciding }: Purpose): number {
    const backoff = this.#ignoresBackoff ? 0 : this.#backoffUntil.max
    const failures = this.isOpen && !this.isClosing ? this.#probeDueAt : backoff
    const server = this.#isLastChance(shutdownDeadline) ? 0 : this.#serverDelayUntil
    return Math.max(this.#rateLimitUntil, server, isDeciding ? 0 : failures)
  }

  /** Shutdown tries once more if it cannot wait for as long as the server would like. */
  #isLastChance(shutdownDeadline: number): boolean {
    return this.#owesLastAttempt && this.#serverDelayUntil >= shutdownDeadline
  }

  get #ignoresBackoff(): boolean {
    return this.#isCut || this.#owesLastAttempt
  }
}
