/** The sampled spans that have started and not ended: counted for flush results, and waited for on request. */
import { context, trace } from '@opentelemetry/api'

/** Spans that are never ended must not fill the memory: beyond this many the oldest are forgotten, many at once. */
const MAX_TRACKED = 65_536
const FORGOTTEN_AT_ONCE = 8192

interface Waiter {
  readonly spanIds: Set<string>
  ended(): void
}

/** A wait for spans to end. */
export interface OpenSpansWait {
  /** Settles when they have. Never rejects. */
  readonly ended: Promise<void>
  cancel(): void
}

/** Keeps ids only, so that it keeps no span alive. */
export class OpenSpans {
  /** Span id to the id of its parent. */
  readonly #parents = new Map<string, string | undefined>()
  readonly #waiters = new Set<Waiter>()

  get count(): number {
    return this.#parents.size
  }

  started(spanId: string, parentSpanId: string | undefined): void {
    if (this.#parents.size >= MAX_TRACKED) this.#forgetOldest()
    this.#parents.set(spanId, parentSpanId)
  }

  ended(spanId: string): void {
    if (!this.#parents.delete(spanId) || this.#waiters.size === 0) return
    for (const waiter of this.#waiters) {
      if (!waiter.spanIds.delete(spanId) || waiter.spanIds.size > 0) continue
      this.#waiters.delete(waiter)
      waiter.ended()
    }
  }

  /**
   * Waits for the spans that are open now, but not for the caller's own active span and its ancestors: they end only
   * after the caller.
   */
  whenOthersEnd(): OpenSpansWait {
    const spanIds = new Set(this.#parents.keys())
    let ancestor = trace.getSpan(context.active())?.spanContext().spanId
    while (ancestor !== undefined && spanIds.delete(ancestor)) ancestor = this.#parents.get(ancestor)
    if (spanIds.size === 0) return { ended: Promise.resolve(), cancel() {} }
    let waiter: Waiter
    const ended = new Promise<void>((resolve) => {
      waiter = { spanIds, ended: resolve }
      this.#waiters.add(waiter)
    })
    return { ended, cancel: () => this.#waiters.delete(waiter) }
  }

  /** One by one would be slow: a map walks over the places of deleted keys to find its first one. */
  #forgetOldest(): void {
    let left = FORGOTTEN_AT_ONCE
    for (const oldest of this.#parents.keys()) {
      this.ended(oldest)
      if (--left === 0) return
    }
  }
}
