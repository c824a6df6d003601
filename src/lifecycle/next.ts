/** Next.js: spans are sent after the response, by `after` of `next/server`. Nothing happens while the app is built. */
import { flushAfterResponse } from './after-response.ts'
import { checkFunction, checkOptions, wrong } from './checks.ts'
import { Drain, type DrainOptions } from './drain.ts'
import { keepAlive } from './request-context.ts'
import { EachRequest, type RequestSpanProcessor } from './request-spans.ts'

export type { RequestSpanProcessor } from './request-spans.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/** The signature of `after`, as far as it is used. */
export type After = (task: Promise<unknown> | (() => unknown)) => void

/** The options of `wrapHandler`: what is flushed, and by whom. */
export interface NextOptions extends DrainOptions {
  /**
   * `import { after } from 'next/server'`. It is yours to import, because only your app's own module is the one that
   * knows the running request, on Node and on the edge, whatever bundled it.
   */
  readonly after: After
}

/**
 * Wraps a route handler, server component or server action, so that its spans are sent after the response, when it
 * throws too. Its result and its error stay its own. While the app is built it only calls the handler. Where `after`
 * cannot be used (outside a request, in `pages/api`), the platform's own `waitUntil` takes its place, and where there is
 * none, the response is held until the spans are sent, 2 s at most.
 *
 * @throws TypeError | RangeError that names the option and its value. The wrapped handler throws only what yours throws.
 *
 * @example
 * ```ts
 * import { after } from 'next/server'
 * import { wrapHandler } from 'tailrace/next'
 *
 * export const GET = wrapHandler((request: Request) => new Response(request.url), { processor, after })
 * ```
 * @see https://nextjs.org/docs/app/api-reference/functions/after
 */
export function wrapHandler<Args extends unknown[], Result>(
  handler: (...args: Args) => Result,
  options: NextOptions,
): (...args: Args) => Promise<Awaited<Result>> {
  checkFunction('wrapHandler', 'handler', handler)
  checkOptions('wrapHandler', options, ['processor', 'provider', 'timeoutMillis', 'after'])
  const target = new Drain('wrapHandler', options)
  const { after } = options
  checkAfter('wrapHandler', after)
  return async function (this: unknown, ...args): Promise<Awaited<Result>> {
    const handle = () => handler.apply(this, args)
    if (isBuilding()) return await handle()
    const drain = () => target.drain()
    if (!call(after, drain)) return flushAfterResponse(target, keepAlive, args, handle)
    try {
      return await handle()
    } catch (error) {
      // On the edge a callback waits for a response that never comes; a promise is waited for at once.
      call(after, drain())
      throw error
    }
  }
}

/**
 * Takes a processor's place in the provider that `register` of `instrumentation.ts` sets up, and sends the spans of each
 * request, those of Next.js itself included, as soon as the last of them has ended; `after`, or the platform's own
 * `waitUntil`, keeps the request's environment alive meanwhile. Where there is neither, they are sent all the same.
 *
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { after } from 'next/server'
 * import { flushEachRequest } from 'tailrace/next'
 *
 * export function register() {
 *   const processor = new BatchSpanProcessor(new OTLPTraceExporter())
 *   new NodeTracerProvider({ spanProcessors: [flushEachRequest(processor, { after })] }).register()
 * }
 * ```
 * @see https://nextjs.org/docs/app/guides/instrumentation
 */
export function flushEachRequest(
  processor: RequestSpanProcessor,
  options: Pick<NextOptions, 'timeoutMillis' | 'after'>,
): RequestSpanProcessor {
  checkOptions('flushEachRequest', options, ['timeoutMillis', 'after'])
  const { after, timeoutMillis } = options
  checkAfter('flushEachRequest', after)
  const each = new EachRequest(
    processor,
    timeoutMillis,
    (promise) => call(after, promise) || keepAlive(promise),
  )
  return isBuilding() ? processor : each
}

/** `next build` runs route handlers and renders pages whose result does not depend on a request. */
function isBuilding(): boolean {
  try {
    const { process } = globalThis as { process?: { env?: Record<string, unknown> } }
    return process?.env?.NEXT_PHASE === 'phase-production-build'
  } catch {
    return false
  }
}

/** @returns Whether there was a request that it could be called in. */
function call(after: After, task: Promise<unknown> | (() => unknown)): boolean {
  try {
    after(task)
    return true
  } catch {
    return false
  }
}

function checkAfter(helper: string, after: unknown): void {
  if (typeof after !== 'function')
    throw wrong(helper, 'after', "a function: import it from 'next/server'", after)
}
