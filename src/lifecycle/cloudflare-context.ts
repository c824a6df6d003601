/** The context of a request: what keeps it alive, and what the program keeps it alive for. */
import { hasMethods } from './checks.ts'

/** As much of an `ExecutionContext`, a `DurableObjectState` or an event as is used. */
export interface WaitUntilContext {
  waitUntil(promise: Promise<unknown>): void
}

const lives = new WeakMap<object, Life>()

/**
 * The life of one request, or of one Durable Object. It follows what the program gives to `waitUntil`: such work goes
 * on after the response, and so do its spans.
 */
export class Life {
  readonly #context: WaitUntilContext
  readonly #waitUntil: (promise: Promise<unknown>) => void
  readonly #work = new Set<Promise<unknown>>()
  /** Calls of handlers that are not over. */
  calls = 0

  /** The life that belongs to a context; `undefined` where there is no context. Never throws. */
  static of(context: unknown): Life | undefined {
    if (!hasMethods(context, 'waitUntil')) return undefined
    let life = lives.get(context as object)
    if (life === undefined) {
      life = new Life(context as WaitUntilContext)
      lives.set(context as object, life)
      life.#follow()
    }
    return life
  }

  constructor(context: WaitUntilContext) {
    this.#context = context
    this.#waitUntil = context.waitUntil
  }

  /** As the pipeline calls it, for what it sends by itself. */
  waitUntil(promise: Promise<unknown>): void {
    // Called as a method, always: Workers throw "Illegal invocation" for any other call.
    this.#waitUntil.call(this.#context, promise)
  }

  /** @returns Whether the request is now kept alive until the promise, which must not reject, has settled. */
  keep(promise: Promise<unknown>): boolean {
    try {
      this.waitUntil(promise)
      return true
    } catch {
      return false
    }
  }

  /** Whether the program has work going on. */
  get hasWork(): boolean {
    return this.#work.size > 0
  }

  /** Settles when the program's work is over, or after so many milliseconds. */
  async workOver(millis: number): Promise<void> {
    let isTimeUp = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const timeUp = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isTimeUp = true
        resolve()
      }, millis)
    })
    // Work may bring along more work.
    while (this.hasWork && !isTimeUp) await Promise.race([timeUp, Promise.all(this.#work)])
    clearTimeout(timer)
  }

  /** From now on `waitUntil` may also be called on its own, as in `const { waitUntil } = ctx`. */
  #follow(): void {
    const waitUntil = (promise: Promise<unknown>) => {
      this.waitUntil(promise)
      const end = () => this.#work.delete(ended)
      const ended: Promise<unknown> = Promise.resolve(promise).then(end, end)
      this.#work.add(ended)
    }
    try {
      Object.defineProperty(this.#context, 'waitUntil', {
        value: waitUntil,
        configurable: true,
        writable: true,
      })
    } catch {
      // A frozen context: what the program does after the response is flushed by the next request.
    }
  }
}
