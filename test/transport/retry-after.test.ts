import { describe, expect, it } from 'vitest'
import { retryAfterMillis } from '../../src/transport/retry-after.ts'

const NOW = 'Sun, 06 Nov 1994 08:49:37 GMT'

describe('retryAfterMillis', () => {
  it.each([
    ['1', 1000],
    ['120', 120_000],
    [' 5 ', 5000],
    ['99999999999', 2 ** 31 - 1],
    ['9'.repeat(40), 2 ** 31 - 1],
  ])('B33: reads seconds: %s', (value, millis) => {
    expect(retryAfterMillis(value, NOW)).toBe(millis)
  })

  it.each([
    ['Sun, 06 Nov 1994 08:49:47 GMT'],
    ['Sunday, 06-Nov-94 08:49:47 GMT'],
    ['Sun Nov  6 08:49:47 1994'],
  ])('B33: reads an HTTP date against the server’s own clock: %s', (value) => {
    expect(retryAfterMillis(value, NOW)).toBe(10_000)
  })

  it('B33: reads an HTTP date against our clock where the server tells no time', () => {
    const inOneMinute = new Date(Date.now() + 60_000).toUTCString()
    for (const date of [undefined, 'yesterday']) {
      const millis = retryAfterMillis(inOneMinute, date)
      expect(millis).toBeGreaterThan(50_000)
      expect(millis).toBeLessThanOrEqual(60_000)
    }
  })

  it.each([
    [undefined],
    [''],
    ['0'],
    ['-1'],
    ['1.5'],
    ['1e3'],
    ['Infinity'],
    ['soon'],
    ['2099-01-01'],
    ['Sun, 99 Nov 2099 08:49:37 GMT'],
    [NOW],
    ['Sun, 06 Nov 1994 08:49:36 GMT'],
  ])('B33: 0, negative, past and garbage ask for nothing: %s', (value) => {
    expect(retryAfterMillis(value, NOW)).toBeUndefined()
  })
})
