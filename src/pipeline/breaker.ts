/**
 * The circuit breaker: when the backend is down, callers must not pay for finding out again and again.
 *
 *     closed ──(failureThreshold failures in a row)──► open ──(probeIntervalMillis)──► a probe is due
 *        ▲                                               ▲                                   │
 *        └──────────────────(success)────────────────────┼───────────────────────────────────┤
 *                                                        └─────────────(failure)─────────────┘
 */
import { ExportError } from '../types.ts'

/** What callers hear while it is open. */
export function circuitOpen(): ExportError {
  return new ExportError('circuit_open', 'the backend keeps failing: nothing is sent until the next probe')
}

/** When the breaker opens, and how often it lets a probe through. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open it. Default 5. */
  failureThreshold: number
  /** While it is open, one probe is let through each such period, in milliseconds. Default 30000. */
  probeIntervalMillis: number
}

export const DEFAULT_CIRCUIT_BREAKER: Readonly<CircuitBreakerOptions> = {
  failureThreshold: 5,
  probeIntervalMillis: 30_000,
}

/** Counts failures; knows when the next attempt may start. */
export class CircuitBreaker {
  readonly #options: Readonly<CircuitBreakerOptions>
  #failures = 0
  #probeDueAt = 0

  constructor(options: Readonly<CircuitBreakerOptions>) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#failures >= this.#options.failureThreshold
  }

  /** How long until an attempt may start: 0 when closed, or when a probe is due. */
  waitMillis(now: number): number {
    return this.isOpen ? Math.max(0, this.#probeDueAt - now) : 0
  }

  /**
   * Whether an attempt that began then is this period's probe. One from before the breaker opened is none, and neither is
   * one without an answer for a whole period: nobody can tell whether it will ever have one.
   */
  isProbe(startedAt: number, now: number): boolean {
    return this.isOpen && startedAt >= this.#probeDueAt && now - startedAt < this.#options.probeIntervalMillis
  }

  succeeded(): void {
    this.#failures = 0
  }

  failed(now: number): void {
    this.#failures++
    if (this.isOpen) this.#probeDueAt = now + this.#options.probeIntervalMillis
  }
}
