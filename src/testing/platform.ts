/**
 * A platform on which I/O belongs to a request, as on Workers and in edge functions: what local emulators do not have.
 *
 *     handler ──► response ──► body read to its end ──► waitUntil promises settled, or 30 s ──► over
 *     └───────────── fetch and timers of the request work ─────────────────────────────┘   └─ they hang for ever
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/** How the platform is. */
export interface FakePlatformOptions {
  /** How long `waitUntil` keeps a request open after its response, in milliseconds. Default 30,000. */
  readonly waitUntilMillis?: number
  /** What requests really fetch with: that of an `InMemoryCollector`, say. Default: the global one. */
  readonly fetch?: typeof fetch
}

/** What a handler is given. */
export interface FakeContext {
  /** Keeps the request open. Throws `Illegal invocation` when it is not called as a method. */
  waitUntil(promise: Promise<unknown>): void
}

/** What became of a request when it was over. */
export interface RequestEnd {
  /** Promises given to `waitUntil` that had not settled at the limit: their work is lost. */
  readonly cutOff: number
  /** What promises given to `waitUntil` were rejected with. */
  readonly rejections: readonly unknown[]
}

/** A request that is running. */
export interface FakeRequest<Result> {
  /** What the handler answers. The body of a `Response` has to be read, or cancelled, for the request to end. */
  readonly response: Promise<Result>
  /** Settles when the request is over. Never rejects. */
  readonly ended: Promise<RequestEnd>
}

type Timer = ReturnType<typeof setTimeout>

/** The life of one request. */
class Life {
  isOver = false
  readonly context: FakeContext
  readonly end = new AbortController()
  readonly #pending = new Set<Promise<unknown>>()
  readonly #rejections: unknown[] = []

  constructor() {
    const life = this
    this.context = {
      waitUntil(promise) {
        if (this !== life.context) throw new TypeError('Illegal invocation')
        if (typeof promise?.then !== 'function') throw new TypeError('waitUntil takes a promise')
        if (life.isOver) throw new Error('waitUntil was called after the request was over')
        life.#pending.add(promise)
        const settle = () => void life.#pending.delete(promise)
        promise.then(settle, (reason) => {
          life.#rejections.push(reason)
          settle()
        })
      },
    }
  }

  /** Lets what `waitUntil` was given settle, within the limit, and ends the request. */
  async finish(responded: Promise<unknown>, limit: (onLimit: () => void) => () => void): Promise<RequestEnd> {
    await responded
    let isAtLimit = false
    let stop = () => {}
    const atLimit = new Promise<void>((resolve) => {
      stop = limit(() => {
        isAtLimit = true
        resolve()
      })
    })
    const settled = (promise: Promise<unknown>) =>
      promise.then(
        () => {},
        () => {},
      )
    while (this.#pending.size > 0 && !isAtLimit) {
      await Promise.race([atLimit, ...[...this.#pending].map(settled)])
    }
    stop()
    this.isOver = true
    this.end.abort(new Error('the request is over'))
    return { cutOff: this.#pending.size, rejections: [...this.#rejections] }
  }

  /** The same promise while the request lives; one that never settles when it does not. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.isOver || resolve(value),
        (reason) => this.isOver || reject(reason),
      )
    })
  }
}

/**
 * A platform to test with: every request has a `waitUntil` that is cut off after 30 s, and I/O of its own. A `fetch` or
 * a timer belongs to the request in which it was started; when that is over, it hangs, for whoever waits on it, and
 * without an error, as in production. Outside any request, I/O is ordinary.
 *
 * Fake timers have to be installed before the platform is made, if they are to move its limit.
 *
 * @example
 * ```ts
 * import { FakePlatform } from 'tailrace/testing'
 *
 * const platform = new FakePlatform()
 * const { response, ended } = platform.request((context) => context.waitUntil(processor.flush()))
 * await response
 * const { cutOff, rejections } = await ended // 0, []
 * ```
 */
export class FakePlatform {
  readonly #storage = new AsyncLocalStorage<Life>()
  readonly #waitUntilMillis: number
  readonly #realFetch: typeof fetch
  readonly #setTimeout = globalThis.setTimeout
  readonly #clearTimeout = globalThis.clearTimeout
  readonly #owners = new WeakMap<object, Life>()

  /** @throws RangeError when `waitUntilMillis` is not a positive number. */
  constructor({ waitUntilMillis = 30_000, fetch = globalThis.fetch }: FakePlatformOptions = {}) {
    if (!(waitUntilMillis > 0)) {
      throw new RangeError(`FakePlatform: waitUntilMillis must be positive, not ${waitUntilMillis}`)
    }
    this.#waitUntilMillis = waitUntilMillis
    this.#realFetch = fetch
  }

  /** Fetches in the request that is running: give it to `new OTLPTraceExporter({ fetch })`. */
  readonly fetch: typeof fetch = (input, init) => {
    const life = this.#storage.getStore()
    if (life === undefined) return this.#realFetch(input, init)
    if (life.isOver) return new Promise(() => {})
    const signal = init?.signal ? AbortSignal.any([init.signal, life.end.signal]) : life.end.signal
    return life.guard(this.#realFetch(input, { ...init, signal }))
  }

  /** Runs a handler as a request of its own. */
  request<Result>(handler: (context: FakeContext) => Result): FakeRequest<Awaited<Result>> {
    const life = new Life()
    let respond = () => {}
    const responded = new Promise<void>((resolve) => {
      respond = resolve
    })
    const response = this.#storage.run(life, async (): Promise<Awaited<Result>> => {
      try {
        const result = await handler(life.context)
        const streamed = watchBody(result, respond)
        if (streamed === undefined) respond()
        return (streamed ?? result) as Awaited<Result>
      } catch (error) {
        respond()
        throw error
      }
    })
    const ended = this.#storage.exit(() => life.finish(responded, (onLimit) => this.#startLimit(onLimit)))
    return { response, ended }
  }

  /**
   * Puts the platform in the place of the global `fetch`, `setTimeout` and `clearTimeout`, and its requests where
   * `waitUntil` of `@vercel/functions`, and Next.js with `as: 'next'`, look for theirs.
   * @returns Puts everything back; before fake timers are taken away, if they were there first.
   */
  install({ as = 'vercel' }: { readonly as?: 'vercel' | 'next' } = {}): () => void {
    const replacements: Record<PropertyKey, unknown> = {
      fetch: this.fetch,
      setTimeout: (callback: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) =>
        this.#startTimer(callback, delay, args),
      clearTimeout: (timer: Timer | undefined) => this.#stopTimer(timer),
      [Symbol.for(`@${as}/request-context`)]: { get: () => this.#storage.getStore()?.context },
    }
    const undo = Reflect.ownKeys(replacements).map((key) => {
      const before = Object.getOwnPropertyDescriptor(globalThis, key)
      const value = replacements[key as string]
      Object.defineProperty(globalThis, key, { value, configurable: true, writable: true })
      return () => {
        if (before === undefined) Reflect.deleteProperty(globalThis, key)
        else Object.defineProperty(globalThis, key, before)
      }
    })
    return () => {
      for (const putBack of undo) putBack()
    }
  }

  #startLimit(onLimit: () => void): () => void {
    const setTimer = this.#setTimeout
    const clearTimer = this.#clearTimeout
    const timer = setTimer(onLimit, this.#waitUntilMillis)
    return () => clearTimer(timer)
  }

  #startTimer(callback: (...args: unknown[]) => void, delay: number | undefined, args: unknown[]): Timer {
    const life = this.#storage.getStore()
    const setTimer = this.#setTimeout
    const timer = setTimer(() => {
      if (life?.isOver !== true) callback(...args)
    }, delay)
    if (life !== undefined && typeof timer === 'object') this.#owners.set(timer, life)
    return timer
  }

  /** Stopping the timer of another request does nothing, silently. */
  #stopTimer(timer: Timer | undefined): void {
    const owner = typeof timer === 'object' ? this.#owners.get(timer) : undefined
    if (owner !== undefined && owner !== this.#storage.getStore()) return
    const clearTimer = this.#clearTimeout
    clearTimer(timer)
  }
}

/** The same response, with a body that tells when it has been read or cancelled. */
function watchBody(result: unknown, onOver: () => void): Response | undefined {
  if (!(result instanceof Response) || result.body === null) return undefined
  const reader = result.body.getReader()
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          controller.close()
        } catch (error) {
          controller.error(error)
        }
        onOver()
      },
      cancel(reason) {
        onOver()
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  const { status, statusText, headers } = result
  return new Response(stream, { status, statusText, headers })
}
