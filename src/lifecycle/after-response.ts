/**
 * Runs a request handler and flushes once its response is over:
 *
 *     handler ──► result ──► response is over: body read to its end, or connection closed, or nothing to wait for
 *        │                        │
 *        └── waitUntil ◄──────────┴── drain; the promise settles within 30 s, and never rejects
 *
 * Where nobody keeps the environment alive, the response itself is held until what has ended is sent: the whole one, or,
 * of a streamed one, its end.
 */
import { type Drain, MAX_HOLD_MILLIS } from './drain.ts'
import { watchBody } from './response-body.ts'
import { startTimer, type Timer } from './timer.ts'

/** How long a response is held where there is no other way, in milliseconds. */
const MAX_RESPONSE_DELAY_MILLIS = 2000

/** As much of a Node response as is looked at. */
interface NodeResponse {
  once(event: 'close', listener: () => void): unknown
}

/**
 * Runs the handler. Its result or error stays what it is, but for the body of a `Response`, which is watched.
 *
 * @param args - The handler's arguments: a Node response is the second.
 * @param keepAlive - Whether somebody keeps the environment alive until the promise has settled.
 */
export async function flushAfterResponse<Result>(
  target: Drain,
  keepAlive: (promise: Promise<unknown>) => boolean,
  args: readonly unknown[],
  handle: () => Result,
): Promise<Awaited<Result>> {
  const { timeoutMillis } = target
  const holdMillis = Math.min(timeoutMillis, MAX_RESPONSE_DELAY_MILLIS)
  const over = new Moment()
  const [, nodeResponse] = args
  const isNode = isNodeResponse(nodeResponse)
  if (isNode) nodeResponse.once('close', over.reach)
  let isKeptAlive = false
  let isStreamed = false
  const onBodyOver = async () => {
    if (!isKeptAlive || over.isReached) await target.flush(holdMillis)
    over.reach()
  }
  try {
    const result = await handle()
    const watched = isNode ? undefined : watchBody(result, onBodyOver)
    isStreamed = watched !== undefined
    return (watched ?? result) as Awaited<Result>
  } finally {
    if (!isNode && !isStreamed) over.reach()
    over.reachWithin(MAX_HOLD_MILLIS - timeoutMillis)
    isKeptAlive = keepAlive(over.reached.then(() => target.drain()))
    if (!isKeptAlive && !isStreamed) await target.flush(holdMillis)
  }
}

/** Something that happens once. */
class Moment {
  readonly reached: Promise<void>
  readonly reach: () => void
  isReached = false
  #timer: Timer | undefined

  constructor() {
    let resolve = () => {}
    this.reached = new Promise((settle) => {
      resolve = settle
    })
    this.reach = () => {
      this.isReached = true
      this.#timer?.cancel()
      resolve()
    }
  }

  /** Nobody waits for it any longer than that. */
  reachWithin(millis: number): void {
    if (!this.isReached) this.#timer = startTimer(this.reach, millis, false)
  }
}

function isNodeResponse(value: unknown): value is NodeResponse {
  const response = value as Partial<Record<'once' | 'end' | 'setHeader', unknown>> | null | undefined
  return [response?.once, response?.end, response?.setHeader].every((method) => typeof method === 'function')
}
