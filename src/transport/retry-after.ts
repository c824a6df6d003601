/** The server's wish for when to come back. */

/** What a timer can hold. */
const MAX_MILLIS = 2 ** 31 - 1

/** Two of the three forms say GMT and start with a day; the third is C's asctime. */
const HTTP_DATE = /^[A-Z][a-z]+,? .*\d{2}:\d{2}:\d{2}( GMT| \d{4})$/

function httpDate(text: string | undefined): number {
  if (!text || !HTTP_DATE.test(text)) return Number.NaN
  return Date.parse(text.endsWith('GMT') ? text : `${text} GMT`)
}

/**
 * The delay that `Retry-After` asks for, in milliseconds from now; at most 2^31 − 1. `undefined` for 0, negative,
 * past or garbage, which all mean the ordinary backoff. Never throws. A date is compared with the server's own clock
 * where it tells it. https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 * @param value - The header `retry-after`: whole seconds or an HTTP date.
 * @param date - The header `date` of the same response.
 */
export function retryAfterMillis(value: string | undefined, date?: string): number | undefined {
  const text = value?.trim() ?? ''
  let millis = Number.NaN
  if (/^\d+$/.test(text)) {
    millis = Number(text) * 1000
  } else {
    const now = httpDate(date?.trim())
    millis = httpDate(text) - (Number.isNaN(now) ? Date.now() : now)
  }
  return millis > 0 ? Math.min(millis, MAX_MILLIS) : undefined
}
