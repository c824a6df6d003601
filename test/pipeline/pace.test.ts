import { describe, expect, it } from 'vitest'
import { CircuitBreaker } from '../../src/pipeline/breaker.ts'
import { type Haste, Pace } from '../../src/pipeline/pace.ts'
import { DEFAULT_RETRY } from '../../src/pipeline/retry.ts'

const RETRY = { ...DEFAULT_RETRY, jitter: 0 }
const NO_HASTE: Haste = { cutsBackoff: false, ignoresBreaker: false, ignoresServerDelay: false }

describe('the pace', () => {
  it('waits for nothing before the first failure', () => {
    const pace = new Pace(RETRY, undefined, undefined)
    expect(pace.failureWaitMillis(5, NO_HASTE)).toBe(0)
    expect(pace.rateLimitMillis(5)).toBe(0)
    expect(pace.isOpen).toBe(false)
  })

  it('B33: backs off longer with each failure in a row, and not at all after an answer', () => {
    const pace = new Pace(RETRY, undefined, undefined)
    pace.failed(100, false)
    expect(pace.failureWaitMillis(100, NO_HASTE)).toBe(1_000)
    expect(pace.failureWaitMillis(1_099, NO_HASTE)).toBe(1)
    expect(pace.failureWaitMillis(1_100, NO_HASTE)).toBe(0)
    pace.failed(1_100, false)
    expect(pace.failureWaitMillis(1_100, NO_HASTE)).toBe(1_500)
    pace.answered()
    expect(pace.failureWaitMillis(1_100, NO_HASTE)).toBe(0)
    pace.failed(1_100, false)
    expect(pace.failureWaitMillis(1_100, NO_HASTE)).toBe(1_000)
  })

  it("B33: the server's delay is a floor, which a flush does not cut", () => {
    const pace = new Pace(RETRY, undefined, undefined)
    pace.failed(0, false)
    pace.askedToWait(0, 400)
    expect(pace.failureWaitMillis(0, NO_HASTE)).toBe(1_000)
    expect(pace.failureWaitMillis(0, { ...NO_HASTE, cutsBackoff: true })).toBe(400)
    pace.answered()
    pace.failed(0, false)
    pace.askedToWait(0, 9_000)
    expect(pace.failureWaitMillis(0, { ...NO_HASTE, cutsBackoff: true })).toBe(9_000)
    expect(pace.serverDelayMillis(8_999)).toBe(1)
    expect(pace.failureWaitMillis(0, { ...NO_HASTE, cutsBackoff: true, ignoresServerDelay: true })).toBe(0)
  })

  it('B38: an open breaker is waited for, but for shutdown', () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1, probeIntervalMillis: 30_000 })
    const pace = new Pace(RETRY, breaker, undefined)
    pace.failed(0, false)
    expect(pace.isOpen).toBe(true)
    expect(pace.failureWaitMillis(0, { ...NO_HASTE, cutsBackoff: true })).toBe(30_000)
    expect(pace.failureWaitMillis(0, { ...NO_HASTE, cutsBackoff: true, ignoresBreaker: true })).toBe(0)
    pace.answered()
    expect(pace.isOpen).toBe(false)
  })

  it('B27: a failure of an attempt that was frozen does not count for the breaker', () => {
    const breaker = new CircuitBreaker({ failureThreshold: 1, probeIntervalMillis: 30_000 })
    const pace = new Pace(RETRY, breaker, undefined)
    pace.failed(0, true)
    expect(pace.isOpen).toBe(false)
    expect(pace.failureWaitMillis(0, NO_HASTE)).toBe(1_000)
  })

  it('B39: the rate limit spaces the starts of attempts', () => {
    const pace = new Pace(RETRY, undefined, 4)
    expect(pace.rateLimitMillis(0)).toBe(0)
    pace.attemptStarted(1_000)
    expect(pace.rateLimitMillis(1_000)).toBe(250)
    expect(pace.rateLimitMillis(1_249)).toBe(1)
    expect(pace.rateLimitMillis(1_250)).toBe(0)
    pace.answered()
    expect(pace.rateLimitMillis(1_100)).toBe(150)
  })
})
