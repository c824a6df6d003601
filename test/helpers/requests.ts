/** Requests as a Worker has them: when one ends, its timers never fire any more, and neither do its sockets. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterEach, beforeEach, vi } from 'vitest'
import { REQUEST_SCOPE, type RequestScope } from '../../src/request.ts'

const current = new AsyncLocalStorage<Request>()

/** One request. Code runs in it through `run`. */
export class Request implements RequestScope {
  /** What it was asked to stay alive for. */
  readonly waits: Promise<unknown>[] = []
  readonly #timers = new Set<unknown>()
  #hasEnded = false

  run<Result>(work: () => Result): Result {
    return current.run(this, () => context.with(context.active().setValue(REQUEST_SCOPE, this), work))
  }

  waitUntil(promise: Promise<unknown>): void {
    this.waits.push(promise)
  }

  /** It is over: whatever it was doing stops where it stands. */
  end(): void {
    this.#hasEnded = true
    for (const timer of this.#timers) clearTimeout(timer as NodeJS.Timeout)
  }

  started(timer: unknown): void {
    if (this.#hasEnded) clearTimeout(timer as NodeJS.Timeout)
    else this.#timers.add(timer)
  }
}

/** Fakes the timers of a test file, and lets each belong to the request that started it. */
export function useRequestTimers(): void {
  beforeEach(() => {
    vi.useFakeTimers()
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    const start = globalThis.setTimeout
    vi.stubGlobal('setTimeout', (callback: () => void, millis: number) => {
      const request = current.getStore()
      // Who fires it is the clock of the test, which runs in no request.
      const timer = start(() => (request ? request.run(callback) : callback()), millis)
      request?.started(timer)
      return timer
    })
  })
  afterEach(() => {
    context.disable()
  })
}
