/**
 * One call of a handler, and the flush when it is over.
 *
 *     waitUntil(done) ─► handler ─► response ─► body over ─► flush ─► the program's own waitUntil work ─► flush ─► done
 *
 * The promise is given away before the handler runs: so a client that goes away does not end the request in the middle
 * of a span. No timer runs before the handler has returned, so that Workers still notice one that hangs.
 */
import { context } from '@opentelemetry/api'
import { CUT_GRACE_MILLIS, watchBody } from './cloudflare-body.ts'
import type { Life } from './cloudflare-context.ts'
import { BUDGET_MILLIS, REQUEST_SCOPE, type RequestTarget } from './cloudflare-target.ts'

/** What the last flush has at least, of what is left after the response, in milliseconds. */
const LAST_FLUSH_MILLIS = 5000

/** How long a response is held where nothing outlasts it, in milliseconds. */
const MAX_HOLD_MILLIS = 2000

/** What a call is made with. */
export interface CallOptions {
  readonly target: RequestTarget
  /** `undefined` where there is no context: what has ended is then flushed before the response. */
  readonly life: Life | undefined
  /** The handler's first argument: a request has a signal that tells when its client has gone. */
  readonly event: unknown
}

/** Calls the handler. Its result or error stays what it is, but for the body of a streamed `Response`, which is watched. */
export function callHandler<Result>(options: CallOptions, handle: () => Result): Result {
  const { life } = options
  if (life === undefined) return new Invocation(options).call(handle)
  // A handler that calls another one of the same request: the outer one flushes.
  if (life.calls > 0 && context.active().getValue(REQUEST_SCOPE) === life) return handle()
  return new Invocation(options).call(handle)
}

class Invocation {
  readonly #target: RequestTarget
  readonly #life: Life | undefined
  readonly #event: unknown
  #reachEnd: () => void = () => {}
  #isKept = false
  #isCut = false
  #endsAt: number | undefined

  constructor({ target, life, event }: CallOptions) {
    this.#target = target
    this.#life = life
    this.#event = event
  }

  call<Result>(handle: () => Result): Result {
    const over = new Promise<void>((resolve) => {
      this.#reachEnd = resolve
    })
    this.#isKept = this.#life?.keep(this.#within(() => this.#flushAfter(over))) ?? false
    const stopListening = this.#isKept ? this.#listenForAbort() : () => {}
    if (this.#life !== undefined) this.#life.calls++
    let isOver = false
    const end = () => {
      if (isOver) return
      isOver = true
      if (this.#life !== undefined) this.#life.calls--
      stopListening()
      this.#startBudget()
      this.#reachEnd()
    }
    const succeed = (result: unknown) => {
      const onEnd = () => (this.#isKept ? undefined : pause(0).then(() => this.#hold()))
      const watched = watchBody(result, onEnd, (isCut) => {
        this.#isCut = isCut
        // Whoever made the body hears of its end only now.
        setTimeout(end, 0)
      })
      if (watched !== undefined) return watched
      end()
      return this.#isKept ? result : this.#hold().then(() => result)
    }
    const fail = (error: unknown) => {
      end()
      if (this.#isKept) throw error
      return this.#hold().then(() => {
        throw error
      })
    }
    let result: unknown
    try {
      result = this.#within(handle)
    } catch (error) {
      return fail(error) as Result
    }
    return (isThenable(result) ? result.then(succeed, fail) : succeed(result)) as Result
  }

  /** The pipeline finds the request in the context, if somebody has registered a context manager. */
  #within<Result>(work: () => Result): Result {
    if (this.#life === undefined) return work()
    return context.with(context.active().setValue(REQUEST_SCOPE, this.#life), work)
  }

  async #flushAfter(over: Promise<void>): Promise<void> {
    await over
    const life = this.#life as Life
    const isLast = !life.hasWork && !this.#isCut
    const flushed = this.#flush(isLast)
    if (!isLast) {
      if (this.#isCut) await pause(CUT_GRACE_MILLIS)
      await life.workOver(Math.max(0, this.#leftMillis() - LAST_FLUSH_MILLIS))
      // Meanwhile the first may still be waiting for what other requests hold: nobody waits for that.
      await this.#flush(true)
    }
    await flushed
  }

  async #flush(isLast: boolean): Promise<void> {
    const millis = Math.min(this.#target.timeoutMillis, this.#leftMillis())
    if (millis >= 1) await this.#target.flush(millis, isLast, this.#life)
  }

  /** Nothing outlasts the response: it waits for the flush. */
  async #hold(): Promise<void> {
    await this.#target.flush(Math.min(this.#target.timeoutMillis, MAX_HOLD_MILLIS), true)
  }

  #startBudget(): void {
    this.#endsAt ??= performance.now() + BUDGET_MILLIS
  }

  #leftMillis(): number {
    return (this.#endsAt ?? 0) - performance.now()
  }

  /** With the client the response has gone: the time that `waitUntil` gives is running. */
  #listenForAbort(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined
    const onAbort = () => {
      this.#startBudget()
      timer = setTimeout(this.#reachEnd, BUDGET_MILLIS - LAST_FLUSH_MILLIS)
    }
    try {
      const { signal } = this.#event as { signal: AbortSignal }
      signal.addEventListener('abort', onAbort)
      return () => {
        signal.removeEventListener('abort', onAbort)
        clearTimeout(timer)
      }
    } catch {
      return () => {}
    }
  }
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, millis)
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
