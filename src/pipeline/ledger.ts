/**
 * Where every span went. Counts are changed in the same step in which a span changes its place, so the books balance
 * at every instant: `ended = exported + rejected + failed + dropped + pending (+ spooled)`, where pending is whatever
 * queue and leases hold.
 */
import type { DropReason, ExportError } from '../types.ts'
import { monotonicNow } from './deadline.ts'
import type { Batch } from './queue.ts'

/** What became of the spans up to a sequence, from some moment on. */
export interface Tally {
  /** The newest sequence that counts. */
  watermark: number
  /** From when on nobody can want to know any more, on the monotonic clock: who asked may have died. */
  readonly expiresAt: number
  exported: number
  rejected: number
  failed: number
  dropped: number
  spooled: number
  /** Why the last of them that was not exported was not. */
  error: ExportError | undefined
}

/** Where the spans were: never taken in, in the queue, put back after an attempt, or out with an exporter. */
export type DropPlace = 'door' | 'queue' | 'parked' | 'lease'

/** Hears of every drop. */
export type DropListener = (reason: DropReason, count: number, place: DropPlace) => void

/** The books of one processor. */
export class Ledger {
  ended = 0
  exported = 0
  rejected = 0
  failed = 0
  /** Undefined where there is no spool. */
  spooled: number | undefined
  readonly dropped: Record<DropReason, number> = {
    queue_full: 0,
    queue_bytes_full: 0,
    span_too_large: 0,
    encode_error: 0,
    retry_exhausted: 0,
    already_shutdown: 0,
    shutdown_timeout: 0,
  }
  readonly #tallies = new Set<Tally>()
  readonly #onDrop: DropListener

  /** @param onDrop - Called synchronously, from within `span.end()` too: it must only take note. */
  constructor(onDrop: DropListener) {
    this.#onDrop = onDrop
  }

  /** Begins to count what happens to the spans up to `watermark`. */
  open(watermark: number, expiresAt = Infinity): Tally {
    const now = monotonicNow()
    for (const tally of this.#tallies) if (tally.expiresAt < now) this.#tallies.delete(tally)
    const tally: Tally = {
      watermark,
      expiresAt,
      exported: 0,
      rejected: 0,
      failed: 0,
      dropped: 0,
      spooled: 0,
      error: undefined,
    }
    this.#tallies.add(tally)
    return tally
  }

  close(tally: Tally): void {
    this.#tallies.delete(tally)
  }

  /** The backend took the batch, but for `rejected` of its spans. */
  batchDelivered(batch: Batch<unknown>, rejected: number, error?: ExportError): void {
    this.exported += batch.count - rejected
    this.rejected += rejected
    for (const tally of this.#tallies) {
      const covered = batch.countThrough(tally.watermark)
      if (covered === 0) continue
      // Nobody says which spans were rejected: a flush that the batch touches hears of all of them.
      tally.rejected += rejected
      tally.exported += Math.max(0, covered - rejected)
      tally.error = error ?? tally.error
    }
  }

  batchFailed(batch: Batch<unknown>, error: ExportError): void {
    this.failed += batch.count
    for (const tally of this.#tallies) {
      const covered = batch.countThrough(tally.watermark)
      if (covered === 0) continue
      tally.failed += covered
      tally.error = error
    }
  }

  batchDropped(reason: DropReason, batch: Batch<unknown>, error?: ExportError): void {
    this.#drop(reason, batch.count, 'lease')
    for (const tally of this.#tallies) {
      const covered = batch.countThrough(tally.watermark)
      if (covered === 0) continue
      tally.dropped += covered
      tally.error = error ?? tally.error
    }
  }

  /** The batch is on disk. What becomes of it there is the spool's to say. */
  batchSpooled(batch: Pick<Batch<unknown>, 'count' | 'countThrough'>, error: ExportError | undefined): void {
    this.spooled = (this.spooled ?? 0) + batch.count
    for (const tally of this.#tallies) {
      const covered = batch.countThrough(tally.watermark)
      tally.spooled += covered
      if (covered > 0) tally.error = error ?? tally.error
    }
  }

  /** A span that had been taken in is given up. */
  spanDropped(reason: DropReason, sequence: number, place: DropPlace): void {
    this.#drop(reason, 1, place)
    for (const tally of this.#tallies) if (sequence <= tally.watermark) tally.dropped++
  }

  /** A span is turned away as it ends. */
  spanRefused(reason: DropReason): void {
    this.ended++
    this.#drop(reason, 1, 'door')
  }

  #drop(reason: DropReason, count: number, place: DropPlace): void {
    this.dropped[reason] += count
    this.#onDrop(reason, count, place)
  }
}
