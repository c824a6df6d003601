/** The sampled spans that have started and not ended: counted for flush results, and waited for on request. */
import { context, trace } from '@opentelemetry/api'

/** Spans that are never ended must not fill the memory: beyond this many the oldest are forgotten, many at once. */
const MAX_TRACKED = 65_536
const FORGOTTEN_AT_ONCE = 8192

/**
 * After how many ends the map is made anew. A map that has rehashed keeps a reference
 * from its former table to the next one: once one of them is old, it keeps all that follow alive until the next full
 * collection.
 */
const ENDS_OF_A_MAP = 4096

/** A wait for spans to end. */
export class OpenSpansWait {
  readonly #spanIds: Set<string>
  readonly #waits: Set<OpenSpansWait>
  #ended: Promise<void> | undefined
  #settle: () => void = () => {}

  constructor(spanIds: Set<string>, waits: Set<OpenSpansWait>) {
    this.#spanIds = spanIds
    this.#waits = waits
    if (!this.isOver) waits.add(this)
  }

  /** Whether they all have: for who must not wait for a promise, since another request would settle it. */
  get isOver(): boolean {
    return this.#spanIds.size === 0
  }

  /** Settles when they have. Never rejects. */
  get ended(): Promise<void> {
    this.#ended ??= new Promise((resolve) => {
      if (this.isOver) resolve()
      else this.#settle = resolve
    })
    return this.#ended
  }

  spanEnded(spanId: string): void {
    if (!this.#spanIds.delete(spanId) || !this.isOver) return
    this.cancel()
    this.#settle()
  }

  cancel(): void {
    this.#waits.delete(this)
  }
}

/** Keeps ids only, so that it keeps no span alive. */
export class OpenSpans {
  /** Span id to the id of its parent. */
  #parents = new Map<string, string | undefined>()
  #ends = 0
  readonly #waits = new Set<OpenSpansWait>()

  get count(): number {
    return this.#parents.size
  }

  started(spanId: string, parentSpanId: string | undefined): void {
    if (this.#parents.size >= MAX_TRACKED) this.#forgetOldest()
    this.#parents.set(spanId, parentSpanId)
  }

  ended(spanId: string): void {
    if (!this.#parents.delete(spanId)) return
    if (++this.#ends % ENDS_OF_A_MAP === 0) this.#parents = new Map(this.#parents)
    for (const wait of this.#waits) wait.spanEnded(spanId)
  }

  /**
   * Waits for the spans that are open now, but not for the caller's own active span and its ancestors: they end only
   * after the caller.
   */
  whenOthersEnd(): OpenSpansWait {
    const spanIds = new Set(this.#parents.keys())
    let ancestor = trace.getSpan(context.active())?.spanContext().spanId
    while (ancestor !== undefined && spanIds.delete(ancestor)) ancestor = this.#parents.get(ancestor)
    return new OpenSpansWait(spanIds, this.#waits)
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
