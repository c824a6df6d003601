/**
 * What leaves with the page: one batch beside that of the drain loop, of the most important spans that fit into what
 * may outlive a page. Made and sent in one go, since a page that is being left runs nothing more. The others wait.
 *
 *     backlog ─┬─────────────► lease ─────► attempt        the drain loop goes on as ever, if the page lives
 *        ▲     └─ most important ─► page lease ─► attempt ─┬─ answered ─► settled, as for any lease
 *        └────────────────── put back ◄────────────────────┘
 */
import type { Outcome, Sender } from '../types.ts'
import { makeAttempt, OpenAttempt } from './attempt.ts'
import type { Backlog } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import { monotonicNow } from './deadline.ts'
import { Lease, type LeaseOptions } from './lease.ts'
import { suppressTracing } from './suppress.ts'

/** Sends one batch at a time for a page that is hidden. */
export class PageLease<Payload> {
  /** Its batch counts as pending, and is dropped by whoever ends everything. */
  readonly lease: Lease<Payload>
  readonly #backlog: Backlog<Payload>
  readonly #sender: Sender<Payload>
  readonly #books: LeaseBooks
  readonly #options: LeaseOptions
  #attempt: OpenAttempt | undefined

  constructor(backlog: Backlog<Payload>, sender: Sender<Payload>, books: LeaseBooks, options: LeaseOptions) {
    this.#backlog = backlog
    this.#sender = sender
    this.#books = books
    this.#options = options
    // The budget is its only bound, and it leaves it to the drain loop to convict a batch.
    const maxAttempts = options.maxAttempts === 1 ? 1 : Infinity
    const unbounded = { maxExportBatchBytes: Infinity, roundMillis: Infinity }
    this.lease = new Lease(backlog, books, { ...options, ...unbounded, maxAttempts })
  }

  /** Whether anything can outlive the page, here and with this exporter. */
  get isPossible(): boolean {
    return this.#backlog.knowsImportance && this.#sender.keepaliveBytes?.() !== undefined
  }

  /**
   * Sends once, now, unless its last batch is still on its way: `pagehide` and `visibilitychange` come together.
   * @param isLast - The page may never come back: neither breaker nor backoff nor the server's own delay is waited for.
   * @param onSettled - Called when the batch is settled or waits again.
   */
  send(isLast: boolean, onSettled: () => void): void {
    if (this.lease.isOut || !this.#maySend(isLast)) return
    const maxBytes = this.#sender.keepaliveBytes?.() ?? 0
    const { maxExportBatchSize, roundMillis } = this.#options
    const batch = suppressTracing(() => this.#backlog.takeFirst(maxExportBatchSize, maxBytes))
    if (batch === undefined) return
    this.lease.adopt(batch)
    const now = monotonicNow()
    const { attemptTimeoutMillis = Infinity } = this.#sender
    const timeoutMillis = Math.min(this.lease.attemptMillis(now), attemptTimeoutMillis, roundMillis)
    this.#books.pace.attemptStarted(now)
    this.#attempt = new OpenAttempt()
    const send: Sender<Payload>['send'] = (payload, attempt) =>
      this.#sender.send(payload, { ...attempt, mustOutlivePage: true })
    makeAttempt({ send }, batch, timeoutMillis, this.#attempt).then(({ outcome, wasFrozen }) => {
      this.#attempt = undefined
      this.lease.apply({ outcome, wasFrozen: wasFrozen || saysNothing(outcome) })
      this.lease.handBack()
      onSettled()
    })
  }

  /** Gives up what is out. */
  close(): void {
    this.lease.drop()
    this.#attempt?.end()
  }

  #maySend(isLast: boolean): boolean {
    const { pace } = this.#books
    const now = monotonicNow()
    const haste = { cutsBackoff: true, ignoresBreaker: isLast, ignoresServerDelay: isLast }
    return pace.failureWaitMillis(now, haste) === 0 && pace.rateLimitMillis(now) === 0
  }
}

/** A browser refuses what exceeds its budget with the same error as a backend that is away. */
function saysNothing(outcome: Outcome): boolean {
  return outcome.kind === 'retryable' && outcome.error.code === 'network'
}
