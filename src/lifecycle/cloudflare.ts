/**
 * Cloudflare Workers: what has ended is flushed after the response, in the request that ended it.
 * https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil
 */
import { hasMethods, show, warn, wrong } from './checks.ts'
import { type AnyClass, isClass, wrapClass } from './cloudflare-class.ts'
import { Life, type WaitUntilContext } from './cloudflare-context.ts'
import { callHandler } from './cloudflare-invocation.ts'
import { watchTailStream } from './cloudflare-tail-stream.ts'
import {
  BUDGET_MILLIS,
  type CloudflareOptions,
  flushRequest,
  type RequestTarget,
  requestTarget,
} from './cloudflare-target.ts'
import { type FlushableProcessor, type FlushableProvider, isFlushable, Target } from './target.ts'

export type { WaitUntilContext } from './cloudflare-context.ts'
export type { CloudflareOptions } from './cloudflare-target.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

const HANDLERS = ['fetch', 'scheduled', 'queue', 'email', 'tail', 'tailStream', 'trace'] as const
/** What the runtime also looks for, and which is left as it is. */
const OTHERS = ['connect', 'test'] as const

type HandlerName = (typeof HANDLERS)[number] | (typeof OTHERS)[number]

type AnyFunction = (...args: never[]) => unknown

/** What comes of a wrapped handler: the same type; of an object, its handlers. */
export type WrappedHandler<Handler> = Handler extends AnyFunction | AnyClass
  ? Handler
  : Pick<Handler, Extract<keyof Handler, HandlerName>>

/**
 * Wraps a Worker: an object with `fetch`, `scheduled`, `queue`, `email`, `tail` or `tailStream` handlers, one such
 * function, or a class that extends `WorkerEntrypoint` or `WorkflowEntrypoint`. After each call what has ended is flushed under `waitUntil`, within what is
 * left of its 30 s: of a streamed response when its body is over, and again when the program's own `waitUntil` work is.
 * Results and errors stay what they are. The promise given to `waitUntil` never rejects.
 *
 * Where there is no context, or its `waitUntil` throws, the response waits for the flush, for 2 s at most.
 *
 * @throws TypeError | RangeError if `handler` is neither of these, or an option is wrong.
 *
 * @example
 * ```ts
 * import { wrapHandler } from 'tailrace/cloudflare'
 *
 * export default wrapHandler({ fetch: (request: Request) => new Response(request.url) }, { processor })
 * ```
 */
export function wrapHandler<Handler extends object>(
  handler: Handler,
  options: CloudflareOptions,
): WrappedHandler<Handler> {
  const target = requestTarget('wrapHandler', options)
  return wrap(handler, target) as WrappedHandler<Handler>
}

/**
 * Wraps the class of a Durable Object: `fetch`, `alarm`, the handlers of hibernating WebSockets and every method that
 * can be called by RPC flush when they are over. What a method returns, and when, stays what it is. The calls of one
 * object share their flushes.
 *
 * @throws TypeError | RangeError if it is not a class, or an option is wrong.
 *
 * @example
 * ```ts
 * import { wrapDurableObject } from 'tailrace/cloudflare'
 *
 * class Room {
 *   fetch(request: Request): Response {
 *     return new Response(request.url)
 *   }
 * }
 * export const ChatRoom = wrapDurableObject(Room, { processor })
 * ```
 */
export function wrapDurableObject<Class extends AnyClass>(Class: Class, options: CloudflareOptions): Class {
  const target = requestTarget('wrapDurableObject', options)
  if (!isClass(Class)) throw wrong('wrapDurableObject', 'Class', 'a class', Class)
  return wrapClass(Class, target)
}

/**
 * Flushes what has ended by now, and keeps the request alive for it. For what is not a handler, and for those who would
 * rather not be wrapped. Never throws; the promise settles within `timeoutMillis`, and never rejects. Where there is no
 * context, or its `waitUntil` throws, the flush has begun all the same: await the promise to be sure of it.
 *
 * @param ctx - The `ExecutionContext`, the `DurableObjectState`, or the `waitUntil` of either, bound to it.
 * @param processor - Our `BatchSpanProcessor`, or a tracer provider.
 * @param options - `timeoutMillis` defaults to 28,500, which is what `waitUntil` gives, less a margin.
 *
 * @example
 * ```ts
 * import { flushOnWaitUntil } from 'tailrace/cloudflare'
 *
 * export default {
 *   fetch(request: Request, env: object, ctx: { waitUntil(promise: Promise<unknown>): void }) {
 *     flushOnWaitUntil(ctx, processor)
 *     return new Response(request.url)
 *   },
 * }
 * ```
 */
export function flushOnWaitUntil(
  ctx: WaitUntilContext | WaitUntilContext['waitUntil'] | undefined,
  processor: FlushableProcessor | FlushableProvider,
  options?: Pick<CloudflareOptions, 'timeoutMillis'>,
): Promise<void> {
  if (!isFlushable(processor)) {
    warn(`flushOnWaitUntil: processor must be a processor or a provider, not ${show(processor)}`)
    return Promise.resolve()
  }
  const wanted = Number(options?.timeoutMillis ?? BUDGET_MILLIS)
  const millis = wanted > 0 && wanted < BUDGET_MILLIS ? wanted : BUDGET_MILLIS
  const flushed = flushRequest(targetOf(processor), millis, false).then(() => {})
  const life = typeof ctx === 'function' ? new Life({ waitUntil: (promise) => ctx(promise) }) : Life.of(ctx)
  life?.keep(flushed)
  return flushed
}

/** One for each processor, since it remembers what it has told of. */
const targets = new WeakMap<object, Target>()

function targetOf(flushed: object): Target {
  const target = targets.get(flushed) ?? new Target(flushed)
  targets.set(flushed, target)
  return target
}

function wrap(handler: object, target: RequestTarget): unknown {
  if (isClass(handler)) return wrapClass(handler, target)
  if (typeof handler === 'function') return wrapFunction(handler as AnyFunction, target)
  if (typeof handler !== 'object' || handler === null) throw wrongHandler(handler)
  const methods = handler as Record<HandlerName, AnyFunction>
  const wrapped: Partial<Record<HandlerName, AnyFunction>> = {}
  for (const name of HANDLERS) {
    // Looked up at each call, as the runtime would.
    if (!hasMethods(handler, name)) continue
    const call: AnyFunction = (...args) => methods[name](...args)
    wrapped[name] = name === 'tailStream' ? wrapTailStream(call, target) : wrapFunction(call, target)
  }
  for (const name of OTHERS) {
    if (hasMethods(handler, name)) wrapped[name] = (...args) => methods[name](...args)
  }
  if (Object.keys(wrapped).length === 0) throw wrongHandler(handler)
  return wrapped
}

function wrapFunction(handler: AnyFunction, target: RequestTarget): AnyFunction {
  return function (this: unknown, ...args) {
    // A module's handler has its context at the end; one of Pages, or of a service worker, has all in its first argument.
    const [event, , ctx] = args as unknown[]
    const life = Life.of(hasMethods(ctx, 'waitUntil') ? ctx : event)
    return callHandler({ target, life, event: requestOf(event) }, () => handler.apply(this, args))
  }
}

function wrapTailStream(handler: AnyFunction, target: RequestTarget): AnyFunction {
  const wrapped = wrapFunction(handler, target) as (...args: unknown[]) => unknown
  return (...args: unknown[]) => {
    const [event, , ctx] = args
    const call = <Result>(handle: () => Result) => callHandler({ target, life: Life.of(ctx), event }, handle)
    return watchTailStream(wrapped(...args), call)
  }
}

function requestOf(event: unknown): unknown {
  return (event as { request?: unknown } | null | undefined)?.request ?? event
}

function wrongHandler(handler: unknown): Error {
  const expected = `a function, a class, or an object with one of the handlers ${HANDLERS.join(', ')}`
  return wrong('wrapHandler', 'handler', expected, handler)
}
