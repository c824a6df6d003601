/** How long to wait between the attempts at a batch. */

/** When and how often a batch is sent again. */
export interface RetryOptions {
  /** Attempts at one batch before a neighbour is tried to tell an outage from a batch that nobody will take. Default 5. */
  maxAttempts: number
  /** The wait after the first failure, in milliseconds. Default 1000. */
  initialBackoffMillis: number
  /** No wait is longer, in milliseconds, except where the server says so. Default 5000. */
  maxBackoffMillis: number
  /** Each wait is this many times the one before. Default 1.5. */
  multiplier: number
  /** Each wait is spread at random by up to this part of it either way, so that a fleet does not retry as one. Default 0.2. */
  jitter: number
}

/** The defaults of the OTLP exporters: 1 s × 1.5, at most 5 s, ±20 %, five attempts. */
export const DEFAULT_RETRY: Readonly<RetryOptions> = {
  maxAttempts: 5,
  initialBackoffMillis: 1000,
  maxBackoffMillis: 5000,
  multiplier: 1.5,
  jitter: 0.2,
}

/**
 * The wait before the next attempt, in milliseconds.
 * @param failures - Failures in a row, at least 1.
 */
export function backoffMillis(options: Readonly<RetryOptions>, failures: number): number {
  const { jitter } = options
  const wait = nominalBackoffMillis(options, failures)
  // Never 0: attempts that fail without any I/O (a `headers` function that throws) would keep the event loop from turning.
  return Math.max(1, wait * (1 - jitter + 2 * jitter * Math.random()))
}

/** The same without its jitter. */
export function nominalBackoffMillis(options: Readonly<RetryOptions>, failures: number): number {
  const { initialBackoffMillis, maxBackoffMillis, multiplier } = options
  // The power overflows in a long outage, and 0 × ∞ is not a number.
  const growth = Math.min(multiplier ** (failures - 1), Number.MAX_VALUE)
  return Math.min(initialBackoffMillis * growth, maxBackoffMillis)
}
