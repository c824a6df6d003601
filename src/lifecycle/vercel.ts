/** Vercel: spans are sent after the response, while `waitUntil` keeps the function alive. */
import { flushAfterResponse } from './after-response.ts'
import { checkFunction, checkOptions } from './checks.ts'
import { Drain, type DrainOptions } from './drain.ts'
import { keepAlive, type WaitUntil } from './request-context.ts'
import { EachRequest, type RequestSpanProcessor } from './request-spans.ts'

export type { WaitUntil } from './request-context.ts'
export type { RequestSpanProcessor } from './request-spans.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/** The options of `wrapHandler`: what is flushed, and who keeps the function alive meanwhile. */
export interface VercelOptions extends DrainOptions {
  /**
   * `waitUntil` of `@vercel/functions`, or one that takes its place. Default: that of the request context which Vercel
   * leaves at `globalThis[Symbol.for('@vercel/request-context')]`.
   */
  readonly waitUntil?: WaitUntil | undefined
}

/**
 * Wraps a handler of a Vercel function, edge or Node, `(request) => Response` or `(request, response) => void`, so that
 * its spans are sent after the response: when the body has been read to its end, or the connection has closed, and when
 * the handler throws. Its result and its error stay its own. Without a request context, or with one that throws, the
 * response is held until they are sent, 2 s at most.
 *
 * @throws TypeError | RangeError that names the option and its value. The wrapped handler throws only what yours throws.
 *
 * @example
 * ```ts
 * import { wrapHandler } from 'tailrace/vercel'
 *
 * export const GET = wrapHandler((request: Request) => new Response(request.url), { processor })
 * ```
 * @see https://vercel.com/docs/functions/functions-api-reference/vercel-functions-package#waituntil
 */
export function wrapHandler<Args extends unknown[], Result>(
  handler: (...args: Args) => Result,
  options: VercelOptions,
): (...args: Args) => Promise<Awaited<Result>> {
  checkFunction('wrapHandler', 'handler', handler)
  checkOptions('wrapHandler', options, ['processor', 'provider', 'timeoutMillis', 'waitUntil'])
  const target = new Drain('wrapHandler', options)
  const { waitUntil } = options
  if (waitUntil !== undefined) checkFunction('wrapHandler', 'waitUntil', waitUntil)
  const keep = (promise: Promise<unknown>) => keepAlive(promise, waitUntil)
  return function (this: unknown, ...args) {
    return flushAfterResponse(target, keep, args, () => handler.apply(this, args))
  }
}

/**
 * Takes a processor's place in the provider, and sends the spans of each request as soon as the last of them has ended,
 * while `waitUntil` keeps the function alive: for frameworks that make the request's span themselves. Without a request
 * context they are sent all the same, but nobody keeps the function alive.
 *
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { flushEachRequest } from 'tailrace/vercel'
 *
 * new NodeTracerProvider({ spanProcessors: [flushEachRequest(processor)] }).register()
 * ```
 */
export function flushEachRequest(
  processor: RequestSpanProcessor,
  options: Pick<VercelOptions, 'timeoutMillis' | 'waitUntil'> = {},
): RequestSpanProcessor {
  checkOptions('flushEachRequest', options, ['timeoutMillis', 'waitUntil'])
  const { timeoutMillis, waitUntil } = options
  if (waitUntil !== undefined) checkFunction('flushEachRequest', 'waitUntil', waitUntil)
  return new EachRequest(processor, timeoutMillis, (promise) => keepAlive(promise, waitUntil))
}
