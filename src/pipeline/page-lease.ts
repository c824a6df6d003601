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
import type { Backlog, BatchSource } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import { monotonicNow } from './deadline.ts'
import { Lease, type LeaseOptions } from './lease.ts'
import { suppressTracing } from './suppress.ts'

/** Sends one batch at a time for a page that is hidden. */
export class PageLease<Payload> {
  /** Its batch counts as pending like that of the drain loop. */
  readonly lease: Lease<Payload>
  readonly #backlog: Backlog<Payload>
  readonly #sender: Sender<Payload>
  readonly #books: LeaseBooks
  readonly #roundMillis: number
  #attempt: OpenAttempt | undefined

  constructor(backlog: Backlog<Payload>, sender: Sender<Payload>, books: LeaseBooks, options: LeaseOptions) {
    this.#backlog = backlog
    this.#sender = sender
    this.#books = books
    this.#roundMillis = options.roundMillis
    const mostImportant: BatchSource<Payload> = {
      take: (maxCount, maxBytes) =>
        backlog.takeFirst(maxCount, Math.min(maxBytes, sender.keepaliveBytes?.() ?? 0)),
      putBack: (batch) => backlog.putBack(batch),
      isParked: (batch) => backlog.isParked(batch),
      parkedCount: 0,
    }
    this.lease = new Lease(mostImportant, books, {
      ...options,
      maxExportBatchBytes: Infinity,
      // It never comes to a last attempt: convicting a batch is left to the drain loop.
      maxAttempts: options.maxAttempts === 1 ? 1 : Infinity,
      roundMillis: Infinity,
    })
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
    const batch = suppressTracing(() => this.lease.next())
    if (batch === undefined) return
    const now = monotonicNow()
    const { attemptTimeoutMillis = Infinity } = this.#sender
    const timeoutMillis = Math.min(this.lease.attemptMillis(now), attemptTimeoutMillis, this.#roundMillis)
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
