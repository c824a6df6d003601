/** Hono, on Node and wherever else it runs: flushes once for each response. */
import { hasMethods } from './checks.ts'
import { CUT_GRACE_MILLIS, watchBody as watchWorkersBody } from './cloudflare-body.ts'
import { type FlushAfterResponseOptions, type NodeResponse, ResponseFlusher } from './http-response.ts'
import { watchBody } from './response-body.ts'
import { startTimer } from './timer.ts'

export type { FlushAfterResponseOptions, NodeResponse } from './http-response.ts'
export type { FlushableProcessor, FlushableProvider } from './target.ts'

/** As much of a Hono context as is used. */
export interface HonoContextLike {
  readonly env: unknown
  /** A getter that throws where there is none. */
  readonly executionCtx: { waitUntil(promise: Promise<unknown>): void }
  res: Response
}

/**
 * A middleware that flushes once for each response. On Node after it has closed: the server span of the HTTP
 * instrumentation is in what is flushed, also when the client hung up. Where there is an `executionCtx`, within its
 * `waitUntil`, after the end of a stream. Elsewhere nobody says when the response is over, so it waits for the flush.
 * Put it before all others.
 *
 * @throws TypeError | RangeError that names the option and its value. The middleware adds no error of its own.
 *
 * @example
 * ```ts
 * import { Hono } from 'hono'
 * import { flushAfterResponse } from 'tailrace/hono'
 *
 * const app = new Hono()
 * app.use(flushAfterResponse({ processor }))
 * ```
 */
export function flushAfterResponse(
  options: FlushAfterResponseOptions,
): (context: HonoContextLike, next: () => Promise<void>) => Promise<void> {
  const flusher = new ResponseFlusher('tailrace/hono', options)
  return async (context, next) => {
    const response = nodeResponse(context)
    if (response !== undefined) {
      flusher.watch(response)
      await next()
      return
    }
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    let isKeptAlive = false
    let isStreamed = false
    const onOver = async () => {
      if (!isKeptAlive) await flusher.flush()
      end()
    }
    try {
      await next()
      isStreamed = watchStream(context, onOver)
    } finally {
      isKeptAlive = waitUntil(context, async () => {
        if (isStreamed) await ended
        // Spans of those around us end as the response passes them.
        await passed()
        await flusher.flush()
      })
      if (!isKeptAlive && !isStreamed) await flusher.flush()
    }
  }
}

/** What `@hono/node-server` answers through. */
function nodeResponse({ env }: HonoContextLike): NodeResponse | undefined {
  const outgoing = (env as { outgoing?: unknown } | null | undefined)?.outgoing
  return hasMethods(outgoing, 'writeHead', 'once') ? (outgoing as NodeResponse) : undefined
}

/** @returns Whether somebody keeps the environment alive until the work is done. */
function waitUntil(context: HonoContextLike, work: () => Promise<unknown>): boolean {
  try {
    const { executionCtx } = context
    if (!hasMethods(executionCtx, 'waitUntil')) return false
    executionCtx.waitUntil(work())
    return true
  } catch {
    return false
  }
}

function passed(): Promise<void> {
  return new Promise((resolve) => {
    startTimer(resolve, 0, true)
  })
}

/**
 * Watches a body that is made while it is sent. What a body holds that was given whole is there already, and to watch it
 * would cost its length: Workers know which is which; elsewhere Hono's streaming helpers say so in the headers.
 *
 * @param onOver - Called before the body ends.
 * @returns Whether there is one.
 */
function watchStream(context: HonoContextLike, onOver: () => Promise<void>): boolean {
  const { res } = context
  const { headers } = res
  const isStream =
    headers.get('transfer-encoding') === 'chunked' ||
    headers.get('content-type')?.startsWith('text/event-stream')
  const onCut = () => void startTimer(onOver, CUT_GRACE_MILLIS, false)
  const watched = isOnWorkers()
    ? watchWorkersBody(res, onOver, (isCut) => isCut && onCut())
    : isStream && watchBody(res, onOver)
  if (!watched) return false
  context.res = undefined as unknown as Response // Hono would merge the headers of both.
  context.res = watched
  return true
}

function isOnWorkers(): boolean {
  return 'IdentityTransformStream' in globalThis
}
