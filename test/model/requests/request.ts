/** Requests as a Worker has them: what one of them makes is out of the others' reach, and dies with it. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { REQUEST_SCOPE, type RequestScope } from '../../../src/request.ts'
import type { SimulatedClock } from '../simulated-clock.ts'

const running = new AsyncLocalStorage<SimulatedRequest>()

/** Whoever runs just now; `undefined` outside of any request. */
export function runningRequest(): SimulatedRequest | undefined {
  return running.getStore()
}

export class SimulatedRequest implements RequestScope {
  readonly id: number
  /** When it was cancelled; `undefined` while it lives. */
  diedAt: number | undefined
  /** Told when something happens that cannot, or must not. */
  readonly #violate: (message: string) => void
  /** When each of its timers is due. */
  readonly #timers = new Map<unknown, number>()
  #unsettledWaits = 0

  constructor(id: number, violate: (message: string) => void) {
    this.id = id
    this.#violate = violate
  }

  get isAlive(): boolean {
    return this.diedAt === undefined
  }

  /** It has promised its runtime something, and not kept it yet. */
  get isWaitedFor(): boolean {
    return this.#unsettledWaits > 0
  }

  run<Result>(work: () => Result): Result {
    return running.run(this, () => context.with(context.active().setValue(REQUEST_SCOPE, this), work))
  }

  waitUntil(promise: Promise<unknown>): void {
    this.#unsettledWaits++
    promise.then(
      () => {
        this.#unsettledWaits--
      },
      (cause) => this.#violate(`what was given to waitUntil rejected: ${cause}`),
    )
  }

  /** It is cancelled: whatever it was doing stops where it stands. */
  die(now: number, clear: (timer: unknown) => void): void {
    this.diedAt = now
    for (const timer of this.#timers.keys()) clear(timer)
    this.#timers.clear()
  }

  hasTimersAfter(millis: number): boolean {
    return [...this.#timers.values()].some((dueAt) => dueAt > millis)
  }

  started(timer: unknown, dueAt: number): void {
    if (!this.isAlive) this.#violate(`something of request ${this.id} runs, which is dead`)
    this.#timers.set(timer, dueAt)
  }

  owns(timer: unknown): boolean {
    return this.#timers.has(timer)
  }

  over(timer: unknown): void {
    this.#timers.delete(timer)
  }
}

/** To be called when the clock is installed: each timer belongs to the request that starts it, and fires in it. */
export function installRequests(clock: SimulatedClock): { clear: (timer: unknown) => void } {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const start = globalThis.setTimeout as unknown as (callback: () => void, millis: number) => unknown
  const clear = globalThis.clearTimeout as (timer: unknown) => void
  const startOwned = (callback: () => void, millis = 0) => {
    const owner = runningRequest()
    if (owner === undefined) return start(callback, millis)
    const timer = start(() => {
      owner.over(timer)
      owner.run(callback)
    }, millis)
    owner.started(timer, clock.now + Math.max(1, Math.trunc(millis)))
    return timer
  }
  const clearOwned = (timer: unknown) => {
    const owner = runningRequest()
    // What another request has started is out of reach.
    if (owner !== undefined && !owner.owns(timer)) return
    owner?.over(timer)
    clear(timer)
  }
  globalThis.setTimeout = startOwned as unknown as typeof setTimeout
  globalThis.clearTimeout = clearOwned as typeof clearTimeout
  return { clear }
}

export function uninstallRequests(): void {
  context.disable()
}
