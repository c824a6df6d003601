/** Hono, on Node and wherever else it runs: flushes once for each response. */
import { hasMethods } from './checks.ts'
import { type FlushAfterResponseOptions, type NodeResponse, ResponseFlusher } from './http-response.ts'
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
    let over: Promise<void> | undefined
    try {
      await next()
      over = endOfStream(context)
    } finally {
      const flushed = () => flusher.flush()
      // Spans of those around us end as the response passes them.
      const isKeptAlive = waitUntil(context, () => (over ?? passed()).then(flushed))
      if (!isKeptAlive && over === undefined) await flushed()
      else if (!isKeptAlive) over?.then(flushed)
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
 * Settles when the stream that Hono's streaming helpers answer with is over. Other bodies are left alone: to watch one
 * costs its length, and what it holds is there already.
 */
function endOfStream(context: HonoContextLike): Promise<void> | undefined {
  const { body, headers, status, statusText } = context.res
  const isStream =
    headers.get('transfer-encoding') === 'chunked' ||
    headers.get('content-type')?.startsWith('text/event-stream')
  if (!isStream || body === null || body.locked) return undefined
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const reader = body.getReader()
  const watched = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          controller.close()
        } catch (error) {
          controller.error(error)
        }
        end()
      },
      cancel(reason) {
        end()
        return reader.cancel(reason)
      },
    },
    // Nothing is read ahead of whoever reads.
    { highWaterMark: 0 },
  )
  context.res = undefined as unknown as Response // Hono would merge the headers of both.
  context.res = new Response(watched, { status, statusText, headers })
  return ended
}
