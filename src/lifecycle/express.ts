/** Express, and whatever else takes `(request, response, next)`: flushes once for each response. */
import { type FlushAfterResponseOptions, type NodeResponse, ResponseFlusher } from './http-response.ts'

export type { FlushAfterResponseOptions, NodeResponse } from './http-response.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/**
 * A middleware that flushes once for each response, after it has closed: the server span of the HTTP instrumentation is
 * in what is flushed, also when the client hung up. For servers that scale to zero; one that runs on needs none of it.
 * Put it before all others.
 *
 * @throws TypeError | RangeError that names the option and its value. The middleware never throws.
 *
 * @example
 * ```ts
 * import express from 'express'
 * import { flushAfterResponse } from 'tailrace/express'
 *
 * const app = express()
 * app.use(flushAfterResponse({ processor }))
 * ```
 */
export function flushAfterResponse(
  options: FlushAfterResponseOptions,
): (request: unknown, response: NodeResponse, next: () => void) => void {
  const flusher = new ResponseFlusher('tailrace/express', options)
  return (_request, response, next) => {
    flusher.watch(response)
    next()
  }
}
