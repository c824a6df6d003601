/**
 * The one batch that is out of the backlog, on the wire or awaiting its retry, and what its outcomes mean for it.
 *
 *     backlog ─► lease ─► attempt ─┬─ delivered, final ──────────────────────► settled; next
 *        ▲         ▲               ├─ too large ──► halves, one by one ──────► attempt
 *        │         └── (pause) ────┼─ retryable
 *        └───── put back ◄─────────┘  and attempts used up: is it the batch, or the backend?
 *
 * A batch whose attempts are used up is put back as a suspect, and its neighbour is tried. If the neighbour gets
 * through, the suspect has its last attempt, and is given up as `retry_exhausted` if that fails too. If the neighbour
 * fails as well, this is an outage, as far as anybody can tell: both wait, the older one is tried again, and next time
 * another neighbour decides.
 */
import { ExportError, type Outcome } from '../types.ts'
import type { AttemptResult } from './attempt.ts'
import type { BatchSource } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import { monotonicNow } from './deadline.ts'
import type { Batch } from './queue.ts'

/** How batches are cut, and how long each of them is tried. */
export interface LeaseOptions {
  readonly maxExportBatchSize: number
  readonly maxExportBatchBytes: number
  /** One batch, one round of attempts. */
  readonly roundMillis: number
  /** Attempts in a round, the last of them after a neighbour got through. 1: nothing is sent twice. */
  readonly maxAttempts: number
}

/** A round with less time left than this, or than a quarter of itself, is over: an answer could hardly come in time. */
const MIN_ATTEMPT_MILLIS = 1000

/** Hands out batches one at a time, and settles them. */
export class Lease<Payload> {
  readonly #backlog: BatchSource<Payload>
  readonly #books: LeaseBooks
  readonly #options: LeaseOptions
  #batch: Batch<Payload> | undefined
  /** What was cut off the batch because it was too large, in order. */
  #rest: Batch<Payload>[] = []
  #attempts = 0
  #attemptStartedAt = 0
  /** When the batch was taken. */
  #begunAt = 0
  /** When this round of attempts is over. */
  #roundEndsAt = 0
  /** One retry at once is free: for a socket that died of old age, or in a freeze. */
  #freeRetryUsed = false
  /** The parked batch whose neighbour is being tried, or the leased one in its last attempt. */
  #suspect: Batch<Payload> | undefined
  /** Parked batches that failed since the backend last answered: they decide nothing. */
  readonly #failedNeighbours = new Set<Batch<Payload>>()

  constructor(backlog: BatchSource<Payload>, books: LeaseBooks, options: LeaseOptions) {
    this.#backlog = backlog
    this.#books = books
    this.#options = options
  }

  /** The batch to be sent now, taken from the backlog if none is out. */
  next(): Batch<Payload> | undefined {
    if (this.#batch === undefined) {
      const batch = this.#take()
      this.#begin(batch)
      // Somebody else has used up its attempts: whether it is to blame is what is left to find out.
      if (batch !== undefined && batch !== this.#suspect && this.#areAttemptsUsedUp())
        this.#letNeighbourTry(batch)
    }
    return this.#batch
  }

  /** An attempt begins; returns how long it may take, in milliseconds. */
  attemptMillis(now: number): number {
    this.#attemptStartedAt = now
    if (this.#isRoundOver(now)) this.#roundEndsAt = now + this.#options.roundMillis
    return this.#roundEndsAt - now
  }

  /** Writes down what came of the attempt, and decides what becomes of the batch. */
  apply({ outcome, wasFrozen }: AttemptResult): void {
    const batch = this.#batch
    if (batch === undefined) return
    const { ledger, metrics, pace, reporter } = this.#books
    metrics?.attemptEnded(this.#attemptStartedAt, outcome.kind === 'delivered' ? undefined : outcome.error)
    if (outcome.kind === 'retryable') {
      this.#applyRetryable(batch, outcome, wasFrozen)
      return
    }
    // Any other answer shows that the backend is there.
    pace.answered()
    if (outcome.kind === 'delivered') {
      reporter.recovered()
      this.#applyDelivered(batch, outcome)
    } else {
      if (outcome.kind === 'final') {
        reporter.failed(outcome.error)
        ledger.batchFailed(batch, outcome.error)
        this.#settled(batch, outcome.error)
      } else {
        this.#applyTooLarge(batch, outcome.error)
      }
    }
    this.#failedNeighbours.clear()
    // The caps may have pushed out the suspect meanwhile.
    if (this.#suspect !== undefined && !this.#backlog.isParked(this.#suspect)) this.#suspect = undefined
  }

  /** Lets the batch wait again, with the attempts that were made at it: somebody else may go on. */
  handBack(): void {
    if (this.#batch !== undefined) this.#batch.attempts = this.#attempts
    if (this.#suspect !== undefined) this.#suspect.attempts = this.#options.maxAttempts - 1
    this.#suspect = undefined
    this.#putBack()
  }

  /** Gives up what is out. */
  drop(): void {
    const { ledger, metrics, reporter } = this.#books
    for (const piece of this.#pieces()) {
      ledger.batchDropped('shutdown_timeout', piece)
      metrics?.exportEnded(piece.count, reporter.lastError ?? shutDown())
      piece.release()
    }
    this.#batch = undefined
    this.#rest = []
  }

  /**
   * The batch is the neighbour of a suspect. It goes at once: the sooner after the suspect's own failure, the surer
   * that a difference is the suspect's fault, and the less it can overtake when the backend returns.
   */
  get isDeciding(): boolean {
    return this.#suspect !== undefined && this.#batch !== undefined && this.#batch !== this.#suspect
  }

  get isOut(): boolean {
    return this.#batch !== undefined
  }

  get firstSequence(): number {
    return this.#batch?.firstSequence ?? Infinity
  }

  /** For how long the batch has been out, in milliseconds. */
  ageMillis(now: number): number {
    return this.#batch === undefined ? 0 : now - this.#begunAt
  }

  get bytes(): number {
    return this.#pieces().reduce((bytes, piece) => bytes + piece.bytes, 0)
  }

  /** How many of the spans that are out have this sequence or an older one. */
  countThrough(sequence: number): number {
    return this.#pieces().reduce((count, piece) => count + piece.countThrough(sequence), 0)
  }

  #pieces(): Batch<Payload>[] {
    return this.#batch === undefined ? [] : [this.#batch, ...this.#rest]
  }

  #take(except?: ReadonlySet<Batch<Payload>>): Batch<Payload> | undefined {
    const { maxExportBatchSize, maxExportBatchBytes } = this.#options
    const parked = this.#backlog.parkedCount
    const maxBytes = Math.min(maxExportBatchBytes, this.#books.sizeLimit.maxBytes)
    const batch = this.#backlog.take(maxExportBatchSize, maxBytes, except)
    const isNew = this.#backlog.parkedCount === parked
    if (batch === undefined) return undefined
    this.#begunAt = monotonicNow()
    this.#books.metrics?.exportStarted(batch.count, isNew)
    return batch
  }

  #begin(batch: Batch<Payload> | undefined): void {
    this.#batch = batch === undefined ? undefined : this.#cutToSize(batch)
    this.#attempts = batch?.attempts ?? 0
    this.#roundEndsAt = 0
    this.#freeRetryUsed = false
  }

  /** A queue of objects only estimates how large they will be. */
  #cutToSize(batch: Batch<Payload>): Batch<Payload> {
    let first = batch
    while (first.bytes > this.#options.maxExportBatchBytes && first.count > 1) {
      const [half, rest] = first.split()
      this.#rest.unshift(rest)
      first = half
    }
    return first
  }

  #letNeighbourTry(batch: Batch<Payload>): void {
    for (const failed of this.#failedNeighbours) {
      // The caps have pushed it out.
      if (!this.#backlog.isParked(failed)) this.#failedNeighbours.delete(failed)
    }
    const neighbour = this.#take(this.#failedNeighbours)
    // Nobody to compare with: the batch is tried again, and compared with whoever comes next.
    if (neighbour === undefined) return
    this.#putBack()
    this.#suspect = batch
    this.#begin(neighbour)
  }

  #putBack(): void {
    const { metrics } = this.#books
    for (const piece of this.#pieces()) {
      metrics?.exportPutBack(piece.count)
      this.#backlog.putBack(piece)
    }
    this.#batch = undefined
    this.#rest = []
  }

  #applyDelivered(batch: Batch<Payload>, outcome: Outcome & { kind: 'delivered' }): void {
    const { ledger, metrics, reporter, sizeLimit } = this.#books
    sizeLimit.delivered()
    const rejected = Math.min(outcome.rejected, batch.count)
    if (rejected === 0) {
      ledger.batchDelivered(batch, 0)
      metrics?.exportEnded(batch.count)
    } else {
      const remark = outcome.message === undefined ? '' : `: ${outcome.message}`
      const error = new ExportError('partial_success', `the backend rejected ${rejected} spans${remark}`)
      ledger.batchDelivered(batch, rejected, error)
      metrics?.exportRejected(batch.count, rejected)
      reporter.rejected(error)
    }
    this.#nextPiece(batch)
  }

  #applyTooLarge(batch: Batch<Payload>, error: ExportError): void {
    if (batch.count === 1) {
      this.#books.reporter.failed(error)
      this.#books.ledger.batchDropped('span_too_large', batch, error)
      this.#settled(batch, error)
      return
    }
    this.#books.sizeLimit.tooLarge(batch.bytes)
    const [first, second] = batch.split()
    this.#rest.unshift(second)
    this.#begin(first)
  }

  #applyRetryable(batch: Batch<Payload>, outcome: Outcome & { kind: 'retryable' }, wasFrozen: boolean): void {
    const { retryAfterMillis } = outcome
    const isFree = (outcome.staleSocket === true || wasFrozen) && retryAfterMillis === undefined
    if (isFree && !this.#freeRetryUsed) {
      this.#freeRetryUsed = true
      return
    }
    const { ledger, pace, reporter } = this.#books
    reporter.failed(outcome.error)
    const isConvicted = batch === this.#suspect
    // A neighbour got through a moment ago: that failure is the batch's own, and nobody else has to wait for it.
    if (!isConvicted) pace.failed(monotonicNow(), wasFrozen)
    pace.askedToWait(monotonicNow(), retryAfterMillis)
    if (isConvicted || this.#options.maxAttempts === 1) {
      this.#suspect = undefined
      if (this.#spills(batch)) return
      ledger.batchDropped('retry_exhausted', batch, outcome.error)
      this.#settled(batch, outcome.error)
      return
    }
    this.#attempts++
    this.#freeRetryUsed = false
    if (this.#suspect !== undefined) {
      this.#suspect.attempts = 0
      this.#suspect = undefined
      this.#failedNeighbours.add(batch)
      this.#putBack()
    } else if (this.#areAttemptsUsedUp() || this.#isRoundOver(this.#nextAttemptAt())) {
      if (!this.#spills(batch)) this.#letNeighbourTry(batch)
    }
  }

  /** Its time is up: where it can be kept elsewhere nobody has to find out who is to blame. */
  #spills(batch: Batch<Payload>): boolean {
    const { spiller } = this.#books
    if (!spiller?.isPossible) return false
    this.#putBack()
    // The caps may have dropped it.
    if (batch.count > 0) spiller.through(batch.firstSequence)
    return true
  }

  /** All but the last one, for which a neighbour has to get through first. */
  #areAttemptsUsedUp(): boolean {
    const { maxAttempts } = this.#options
    return maxAttempts > 1 && this.#attempts >= maxAttempts - 1
  }

  /** When the batch is tried again if nothing cuts the backoff short. */
  #nextAttemptAt(): number {
    return monotonicNow() + this.#books.pace.nominalBackoffMillis
  }

  #isRoundOver(now: number): boolean {
    return this.#roundEndsAt - now < Math.min(MIN_ATTEMPT_MILLIS, this.#options.roundMillis / 4)
  }

  #settled(batch: Batch<Payload>, error: ExportError): void {
    this.#books.metrics?.exportEnded(batch.count, error)
    this.#nextPiece(batch)
  }

  /** The batch has its place in the ledger: goes on with what was cut off it, if it was. */
  #nextPiece(batch: Batch<Payload>): void {
    batch.release()
    this.#begin(this.#rest.shift())
  }
}

function shutDown(): ExportError {
  return new ExportError('aborted', 'the processor was shut down')
}
