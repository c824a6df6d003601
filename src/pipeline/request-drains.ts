/**
 * Draining where whatever is made belongs to the request that made it. On Workers a promise of another request hangs,
 * and the timers of a request that has ended never fire. So requests share data only: backlog, ledger, pace. Each
 * flush is a drain of its own, in its own request, under its own deadline:
 *
 *     span.end() of any request ──► backlog ◄─── put back: the owner of the lease has fallen silent
 *                                    │    │                    ▲
 *                    request A ──► lease  lease ◄── request B  │
 *                                    │    │                    │
 *                                  send  send    request C ──► polls: what it waits for is leased by A and B
 *
 * https://developers.cloudflare.com/workers/observability/errors/#cannot-perform-io-on-behalf-of-a-different-request
 */
import { context } from '@opentelemetry/api'
import { REQUEST_SCOPE, type RequestScope } from '../request.ts'
import type { FlushResult, Sender } from '../types.ts'
import type { Backlog } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import type { DrainOptions } from './drain.ts'
import type { CallOptions } from './flush.ts'
import { Turns } from './pulse.ts'
import { RequestDrain } from './request-drain.ts'
import { ResourcePatience } from './resource-patience.ts'
import { pendingThrough, type SharedState } from './shared-state.ts'

/** The drains of one processor, one for each flush. Stands where the drain loop stands elsewhere. */
export class RequestDrains<Payload> {
  readonly #shared: SharedState<Payload, RequestDrain<Payload>>
  /** Requests in which a drain is about to begin or has begun, and those that have ended more spans since. */
  readonly #woken = new WeakMap<RequestScope, 'waking' | 'draining' | 'again'>()

  constructor(backlog: Backlog<Payload>, sender: Sender<Payload>, books: LeaseBooks, options: DrainOptions) {
    this.#shared = {
      backlog,
      sender,
      books,
      options,
      active: new Set(),
      shutdowns: new Set(),
      isClosed: false,
      turns: new Turns(),
      resourcePatience: new ResourcePatience(),
      exporterHangs: false,
    }
  }

  /** What is not settled, found by walking leases and backlog. */
  pendingThrough(sequence: number): number {
    return pendingThrough(this.#shared, sequence)
  }

  get pendingBytes(): number {
    let bytes = this.#shared.backlog.pendingBytes
    for (const { lease } of this.#shared.active) bytes += lease.bytes
    return bytes
  }

  get inFlight(): number {
    let count = 0
    for (const { lease } of this.#shared.active) count += lease.countThrough(Infinity)
    return count
  }

  /** A span was taken in. There is no schedule: a timer would die with the request that happens to end this span. */
  spanEnded(): void {
    const { backlog, options } = this.#shared
    if (backlog.count >= options.maxExportBatchSize || backlog.bytes >= options.maxExportBatchBytes) {
      this.wakeSoon()
    }
  }

  /** Spans were given up. Who waited for them looks for himself. */
  spansDropped(): void {}

  /** Sends what waits, after the code that is running now, if the request that is running may outlast its response. */
  wakeSoon(): void {
    const request = activeRequest()
    if (request === undefined) return
    const state = this.#woken.get(request)
    this.#woken.set(request, state === undefined ? 'waking' : state === 'waking' ? 'waking' : 'again')
    if (state === undefined) queueMicrotask(() => this.#wake(request))
  }

  /** Pages have no requests to share anything between. */
  pageHidden(): boolean {
    return false
  }

  /** Whoever has requests has no end of a process to wait for. */
  flushSync(): void {}

  /** Sends everything that has ended by now, and waits for that within the caller's deadline. */
  flush(options: CallOptions): Promise<FlushResult> {
    // Who does not wait has the drain started all the same.
    if ((options.timeoutMillis === 0 || options.signal?.aborted) && !options.isShutdown) {
      this.#drain({ timeoutMillis: this.#shared.options.roundMillis })
    }
    return this.#drain(options, options.request)
  }

  /** Nothing is sent before the request has agreed to wait for it: one that is over would leave a lease behind. */
  #wake(request: RequestScope): void {
    let isOver = false
    const drained = Promise.resolve().then(() => (isOver ? undefined : this.#drainFor(request)))
    try {
      request.waitUntil(drained)
    } catch {
      isOver = true
      this.#woken.delete(request)
    }
  }

  async #drainFor(request: RequestScope): Promise<void> {
    const timeoutMillis = this.#shared.options.roundMillis
    do {
      this.#woken.set(request, 'draining')
      await this.#drain({ timeoutMillis, cutsBackoff: false }, request)
    } while (this.#woken.get(request) === 'again')
    this.#woken.delete(request)
  }

  #drain(
    options: Partial<CallOptions> & { timeoutMillis: number },
    request = activeRequest(),
  ): Promise<FlushResult> {
    return new RequestDrain(this.#shared, { openSpans: 0, isShutdown: false, ...options }, request).run()
  }
}

function activeRequest(): RequestScope | undefined {
  return context.active().getValue(REQUEST_SCOPE) as RequestScope | undefined
}
