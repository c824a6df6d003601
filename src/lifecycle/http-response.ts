/**
 * Flushes when the response of a Node server is over:
 *
 *     response: … ─► end ─► finish ─► close ─► (the HTTP instrumentation ends the server span) ─► flush
 *               … ─► the client hangs up ───► close ─► …
 *
 * Not on `finish`, which never comes when the client hangs up, and is too early for the server span when it does.
 */
import { checkBoolean, checkOptions, readMillis } from './checks.ts'
import { type FlushStatus, readTarget, Target, type TargetOptions } from './target.ts'
import { startTimer } from './timer.ts'

/** What to flush after each response: a processor, or a provider. */
export interface FlushAfterResponseOptions extends TargetOptions {
  /** How long a flush may take, in milliseconds. Default 2000. */
  readonly timeoutMillis?: number | undefined
  /**
   * Where the CPU stops with the response: holds back the end of the response until what has ended by then is flushed.
   * The server span, which ends with the response, is flushed after it, as far as there is CPU. Default false.
   */
  readonly holdResponse?: boolean | undefined
}

/** As much of Node's `ServerResponse` as is used. */
export interface NodeResponse {
  readonly closed: boolean
  readonly headersSent: boolean
  readonly req: { readonly method?: string | undefined }
  statusCode: number
  once(event: 'close', listener: () => void): unknown
  hasHeader(name: string): boolean
  setHeader(name: string, value: number): unknown
  writeHead(statusCode: number): unknown
  destroy(error?: Error): unknown
}

type End = (this: unknown, ...args: unknown[]) => unknown
type WithEnd = NodeResponse & { end: End }

/** For what a response is watched already: a middleware may be in a chain twice. */
const watched = new WeakMap<object, Set<unknown>>()

/** Flushes after responses. */
export class ResponseFlusher {
  readonly #target: Target
  readonly #timeoutMillis: number
  readonly #holdsResponse: boolean

  /**
   * @param helper - For messages.
   * @throws TypeError | RangeError that names the option and its value.
   */
  constructor(helper: string, options: FlushAfterResponseOptions) {
    checkOptions(helper, options, ['processor', 'provider', 'timeoutMillis', 'holdResponse'])
    const { timeoutMillis, holdResponse = false } = options
    this.#target = new Target(readTarget(helper, options))
    checkBoolean(helper, 'holdResponse', holdResponse)
    this.#timeoutMillis = readMillis(helper, 'timeoutMillis', timeoutMillis, 2000)
    this.#holdsResponse = holdResponse
  }

  /** Sends what has ended by now. Never throws, never rejects. */
  flush(): Promise<FlushStatus> {
    return this.#target.flush(this.#timeoutMillis)
  }

  /** Flushes once, after the response has closed. */
  watch(response: NodeResponse): void {
    const known = watched.get(response) ?? new Set()
    watched.set(response, known)
    if (known.has(this.#target.flushed)) return
    known.add(this.#target.flushed)
    // Others listen for `close`, too, and end their spans then.
    const afterAllListeners = () => void startTimer(() => void this.flush(), 0, true)
    if (response.closed) afterAllListeners()
    else response.once('close', afterAllListeners)
    if (this.#holdsResponse) holdEnd(response as WithEnd, () => this.flush())
  }
}

/** Makes `end` wait for a flush. To whoever calls it, the response has ended: its head is fixed, and it says so. */
function holdEnd(response: WithEnd, flush: () => Promise<unknown>): void {
  const { end } = response
  let isHeld = false
  // Not assigned as it is written: V8 would keep it, and the response with it, until the next full collection.
  const heldEnd: WithEnd['end'] = (...args) => {
    if (isHeld) return response
    if (response.closed || !isEndCall(args)) return end.apply(response, args)
    isHeld = true
    fixHead(response, args)
    Object.defineProperty(response, 'writableEnded', { configurable: true, value: true })
    flush().then(() => {
      delete (response as { writableEnded?: boolean }).writableEnded
      response.end = end
      try {
        end.apply(response, args)
      } catch (cause) {
        response.destroy(cause instanceof Error ? cause : undefined)
      }
    })
    return response
  }
  response.end = heldEnd
}

/** Anything else throws, and it does so best where it was called. */
function isEndCall([chunk]: readonly unknown[]): boolean {
  const isEmpty = chunk === undefined || chunk === null || typeof chunk === 'function'
  return isEmpty || typeof chunk === 'string' || chunk instanceof Uint8Array
}

/** As `end` would: with the length of the body, since there is no more to come. */
function fixHead(response: NodeResponse, [chunk, encoding]: readonly unknown[]): void {
  if (response.headersSent) return
  const { statusCode } = response
  const hasBody = statusCode >= 200 && statusCode !== 204 && statusCode !== 304
  const hasLength = ['content-length', 'transfer-encoding', 'trailer'].some((name) =>
    response.hasHeader(name),
  )
  const length = byteLength(chunk, encoding)
  if (hasBody && response.req.method !== 'HEAD' && !hasLength && length !== undefined) {
    response.setHeader('content-length', length)
  }
  response.writeHead(statusCode)
}

function byteLength(chunk: unknown, encoding: unknown): number | undefined {
  if (chunk instanceof Uint8Array) return chunk.length
  if (typeof chunk !== 'string') return 0
  const isUtf8 = typeof encoding !== 'string' || /^utf-?8$/i.test(encoding)
  return isUtf8 ? new TextEncoder().encode(chunk).length : undefined
}
