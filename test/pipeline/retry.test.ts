import { describe, expect, it, vi } from 'vitest'
import { backoffMillis, DEFAULT_RETRY } from '../../src/pipeline/retry.ts'

/** The wait after so many failures, for a certain throw of the dice. */
function backoff(failures: number, random: number, options = DEFAULT_RETRY): number {
  vi.spyOn(Math, 'random').mockReturnValue(random)
  return backoffMillis(options, failures)
}

describe('the backoff', () => {
  it('B33: is 1 s × 1.5 a failure, 5 s at most', () => {
    const waits = [1, 2, 3, 4, 5, 6, 100].map((failures) => backoff(failures, 0.5))
    expect(waits).toEqual([1_000, 1_500, 2_250, 3_375, 5_000, 5_000, 5_000])
  })

  it('B33: is spread by 20 % either way', () => {
    expect(backoff(1, 0)).toBe(800)
    expect(backoff(1, 0.999_999_999)).toBeCloseTo(1_200, 3)
    expect(backoff(50, 0)).toBe(4_000)
  })

  it('stays a number after any count of failures', () => {
    for (const failures of [1_000, 10_000, Number.MAX_SAFE_INTEGER])
      expect(backoff(failures, 0.5)).toBe(5_000)
  })

  it('is never 0, and a number where the power overflows', () => {
    const none = { ...DEFAULT_RETRY, initialBackoffMillis: 0, multiplier: 1_000 }
    for (const failures of [1, 3, 100_000]) expect(backoff(failures, 0.5, none)).toBe(1)
    expect(backoff(1, 0, { ...DEFAULT_RETRY, jitter: 1 })).toBe(1)
  })
})
