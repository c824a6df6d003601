/** When the next attempt may start: backoff, the server's own delay, the circuit breaker and the rate limit in one. */
import type { CircuitBreaker } from './breaker.ts'
import { backoffMillis, nominalBackoffMillis, type RetryOptions } from './retry.ts'

/** What the next attempt need not wait for. */
export interface Haste {
  /** A flush or a shutdown was called: the backoff is cut short. */
  readonly cutsBackoff: boolean
  /** Shutdown always tries, breaker or not. */
  readonly ignoresBreaker: boolean
  /** Shutdown's last chance comes before the time that the server named. */
  readonly ignoresServerDelay: boolean
}

/** Keeps the time of the next attempt. */
export class Pace {
  readonly #retry: Readonly<RetryOptions>
  readonly #breaker: CircuitBreaker | undefined
  readonly #millisBetweenExports: number
  #failures = 0
  #backoffUntil = 0
  #serverDelayUntil = 0
  #rateLimitUntil = 0

  constructor(
    retry: Readonly<RetryOptions>,
    breaker: CircuitBreaker | undefined,
    maxExportsPerSecond: number | undefined,
  ) {
    this.#retry = retry
    this.#breaker = breaker
    this.#millisBetweenExports = maxExportsPerSecond === undefined ? 0 : 1000 / maxExportsPerSecond
  }

  /** True while the breaker lets nothing through but its probes. */
  get isOpen(): boolean {
    return this.#breaker?.isOpen ?? false
  }

  /** How long the open breaker lets nothing through, in milliseconds; 0 when a probe is due. */
  probeWaitMillis(now: number): number {
    return this.#breaker?.waitMillis(now) ?? 0
  }

  /** Whether an attempt that began then is the probe that the open breaker lets through just now. */
  isProbe(startedAt: number, now: number): boolean {
    return this.#breaker?.isProbe(startedAt, now) ?? false
  }

  /** How long earlier failures hold up the next attempt, in milliseconds. */
  failureWaitMillis(now: number, haste: Haste): number {
    let until = haste.ignoresServerDelay ? 0 : this.#serverDelayUntil
    if (this.isOpen && !haste.ignoresBreaker) until = Math.max(until, now + this.probeWaitMillis(now))
    else if (!haste.cutsBackoff) until = Math.max(until, this.#backoffUntil)
    return Math.max(0, until - now)
  }

  /** How long the server's own delay still lasts, in milliseconds. */
  serverDelayMillis(now: number): number {
    return Math.max(0, this.#serverDelayUntil - now)
  }

  /** How long the rate limit holds up the next attempt, in milliseconds. */
  rateLimitMillis(now: number): number {
    return Math.max(0, this.#rateLimitUntil - now)
  }

  /** The backoff after the last failure, in milliseconds, without its jitter. */
  get nominalBackoffMillis(): number {
    return this.#failures === 0 ? 0 : nominalBackoffMillis(this.#retry, this.#failures)
  }

  attemptStarted(now: number): void {
    this.#rateLimitUntil = now + this.#millisBetweenExports
    // Waited for or cut short, it holds up one attempt: a retry at once on a fresh socket does not wait for it again.
    this.#backoffUntil = 0
  }

  /** The backend answered, if only to refuse: it is there. */
  answered(): void {
    this.#failures = 0
    this.#backoffUntil = 0
    this.#serverDelayUntil = 0
    this.#breaker?.succeeded()
  }

  /** @param wasFrozen - The process stood still during the attempt, which then says nothing about the backend. */
  failed(now: number, wasFrozen: boolean): void {
    this.#failures++
    this.#backoffUntil = now + backoffMillis(this.#retry, this.#failures)
    if (!wasFrozen) this.#breaker?.failed(now)
  }

  /** What the server says about its next time is taken at its word, whatever else comes of the attempt. */
  askedToWait(now: number, retryAfterMillis = 0): void {
    this.#serverDelayUntil = now + retryAfterMillis
  }
}
