/** Koa: flushes once for each response. */
import { type FlushAfterResponseOptions, type NodeResponse, ResponseFlusher } from './http-response.ts'

export type { FlushAfterResponseOptions, NodeResponse } from './http-response.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/**
 * A middleware that flushes once for each response, after it has closed: the server span of the HTTP instrumentation is
 * in what is flushed, also when the client hung up. For servers that scale to zero; one that runs on needs none of it.
 * Put it before all others.
 *
 * @throws TypeError | RangeError that names the option and its value. The middleware adds no error of its own.
 *
 * @example
 * ```ts
 * import Koa from 'koa'
 * import { flushAfterResponse } from 'tailrace/koa'
 *
 * const app = new Koa()
 * app.use(flushAfterResponse({ processor }))
 * ```
 */
export function flushAfterResponse(
  options: FlushAfterResponseOptions,
): (context: { readonly res: NodeResponse }, next: () => Promise<unknown>) => Promise<unknown> {
  const flusher = new ResponseFlusher('tailrace/koa', options)
  return (context, next) => {
    flusher.watch(context.res)
    return next()
  }
}
