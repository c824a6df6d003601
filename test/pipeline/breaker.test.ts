import { describe, expect, it } from 'vitest'
import { CircuitBreaker } from '../../src/pipeline/breaker.ts'

describe('the circuit breaker', () => {
  const open = () => {
    const breaker = new CircuitBreaker({ failureThreshold: 3, probeIntervalMillis: 1_000 })
    for (const now of [10, 20, 30]) breaker.failed(now)
    return breaker
  }

  it('B38: opens at the threshold, not before', () => {
    const breaker = new CircuitBreaker({ failureThreshold: 3, probeIntervalMillis: 1_000 })
    for (const now of [10, 20]) {
      breaker.failed(now)
      expect(breaker.isOpen).toBe(false)
      expect(breaker.waitMillis(now)).toBe(0)
    }
    breaker.failed(30)
    expect(breaker.isOpen).toBe(true)
    expect(breaker.waitMillis(30)).toBe(1_000)
  })

  it('B38: counts failures in a row only', () => {
    const breaker = new CircuitBreaker({ failureThreshold: 2, probeIntervalMillis: 1_000 })
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(0)
    expect(breaker.isOpen).toBe(false)
  })

  it('B38: lets a probe through after the interval, and another one an interval after that failed', () => {
    const breaker = open()
    expect(breaker.waitMillis(1_029)).toBe(1)
    expect(breaker.waitMillis(1_030)).toBe(0)
    breaker.failed(1_100)
    expect(breaker.isOpen).toBe(true)
    expect(breaker.waitMillis(1_100)).toBe(1_000)
  })

  it('B38: a success closes it', () => {
    const breaker = open()
    breaker.succeeded()
    expect(breaker.isOpen).toBe(false)
    expect(breaker.waitMillis(31)).toBe(0)
  })
})
