/**
 * The spans that wait, and the two caps on them. Most are in the queue; a batch that was taken and has to wait again
 * (its neighbour is tried first, its lease ran out) is parked in front of it and counts like any other.
 *
 *     oldest                                             newest
 *     ┌────────┐ ┌────────┐ ┌──────────────────────────────┐
 *     │ parked │ │ parked │ │ queue (arena or ring)        │ ◄── offer
 *     └────────┘ └────────┘ └──────────────────────────────┘
 *      ▲ drop-oldest, take
 */
import type { Spiller } from '../spill.ts'
import type { DropReason, ReadableSpan } from '../types.ts'
import { LateSpans } from './late-spans.ts'
import type { Ledger } from './ledger.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'

/** The bounds on what waits. */
export interface BacklogLimits {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly dropPolicy: 'oldest' | 'newest' | 'oldest-trace'
}

/** Where batches come from, and where they wait again. */
export type BatchSource<Payload> = Pick<Backlog<Payload>, 'take' | 'putBack' | 'isParked' | 'parkedCount'>

/** The bounded backlog of one processor. */
export class Backlog<Payload> implements Admission {
  readonly #limits: BacklogLimits
  readonly #ledger: Ledger
  readonly #onEncodeError: (cause: unknown) => void
  readonly #queue: SpanQueue<Payload>
  readonly #parked: Batch<Payload>[] = []
  #parkedSpans = 0
  #parkedBytes = 0
  #newestSequence = -1
  /** Writes what does not fit any more, where the exporter has something to write it to. */
  spiller: Spiller | undefined
  /** While it does: framing what it writes may run user code. The span that needs the room is not in its place yet. */
  #isRelieving = false
  readonly #late = new LateSpans<ReadableSpan>()

  constructor(
    createQueue: (admission: Admission) => SpanQueue<Payload>,
    limits: BacklogLimits,
    ledger: Ledger,
    onEncodeError: (cause: unknown) => void,
  ) {
    this.#limits = limits
    this.#ledger = ledger
    this.#onEncodeError = onEncodeError
    this.#queue = createQueue(this)
  }

  get count(): number {
    return this.#parkedSpans + this.#queue.count
  }

  get bytes(): number {
    return this.#parkedBytes + this.#queue.bytes
  }

  /** The same, with the batch that is being taken just now. */
  get pendingBytes(): number {
    return this.bytes + this.#queue.leavingBytes + (this.spiller?.bytes ?? 0)
  }

  /** Sequence of the oldest span that waits or is being spilled; `Infinity` when none is. */
  get firstSequence(): number {
    return Math.min(this.firstWaiting, this.spiller?.firstSequence ?? Infinity)
  }

  /** Sequence of the oldest waiting span; `Infinity` when none waits. */
  get firstWaiting(): number {
    return Math.min(this.#parked[0]?.firstSequence ?? Infinity, this.#queue.firstSequence)
  }

  /** Sequence of the last span that was taken in; −1 before the first. */
  get newestSequence(): number {
    return this.#newestSequence
  }

  /** Batches that were taken and put back. */
  get parkedCount(): number {
    return this.#parked.length
  }

  /** Takes in a span that just ended, or counts why not. Never throws. */
  offer(span: ReadableSpan): void {
    if (!this.#isRelieving) {
      this.#offer(span)
      this.#takeLate()
    } else if (!this.#late.add(span)) {
      this.#refuse('queue_full')
    }
  }

  admit(bytes: number): number {
    if (this.#exceeds(1, bytes) && !this.#makeRoomFor(bytes)) return REFUSED
    this.#ledger.ended++
    return ++this.#newestSequence
  }

  encodingFailed(sequence: number, cause: unknown): void {
    this.#ledger.spanDropped('encode_error', sequence, 'queue')
    this.#onEncodeError(cause)
  }

  /**
   * Removes the oldest spans as one batch; it is the caller's to settle or to put back.
   * @param except - Parked batches that are passed over.
   */
  take(maxCount: number, maxBytes: number, except?: ReadonlySet<Batch<Payload>>): Batch<Payload> | undefined {
    const place = this.#parked.findIndex((parked) => !except?.has(parked))
    if (place === -1) return this.#queue.take(maxCount, maxBytes)
    const [batch] = this.#parked.splice(place, 1) as [Batch<Payload>]
    this.#parkedSpans -= batch.count
    this.#parkedBytes -= batch.bytes
    return batch
  }

  /** Whether `takeFirst` can do anything. */
  get knowsImportance(): boolean {
    return this.#queue.takeFirst !== undefined
  }

  /** Removes the most important spans of the queue that fit, as one batch; the caller's to settle or to put back. */
  takeFirst(maxCount: number, maxBytes: number): Batch<Payload> | undefined {
    return this.#queue.takeFirst?.(maxCount, maxBytes)
  }

  /** Lets a batch wait again, at its old place. What exceeds the caps is dropped, oldest first. */
  putBack(batch: Batch<Payload>): void {
    const place = this.#parked.findIndex((other) => other.firstSequence > batch.firstSequence)
    this.#parked.splice(place === -1 ? this.#parked.length : place, 0, batch)
    this.#parkedSpans += batch.count
    this.#parkedBytes += batch.bytes
    this.#relieve(0, 0)
    this.#makeRoom(0, 0)
    this.#takeLate()
  }

  isParked(batch: Batch<Payload>): boolean {
    return this.#parked.includes(batch)
  }

  dropAll(reason: DropReason): void {
    while (this.count > 0) this.#dropOldest(reason)
  }

  /** How many spans with this sequence or an older one wait, found by walking. */
  countThrough(sequence: number): number {
    let counted = this.#queue.countThrough(sequence) + (this.spiller?.countThrough(sequence) ?? 0)
    for (const batch of this.#parked) counted += batch.countThrough(sequence)
    return counted
  }

  /** Counts the spans in the queue that are newer than this sequence by scope; who was put back has been seen before. */
  scopesAfter(sequence: number): Map<string, number> {
    return this.#queue.scopesAfter(sequence)
  }

  whenReady(): Promise<void> | undefined {
    return this.#queue.whenReady()
  }

  #offer(span: ReadableSpan): void {
    try {
      this.#queue.offer(span)
    } catch (cause) {
      this.#refuse('encode_error')
      this.#onEncodeError(cause)
    }
  }

  #takeLate(): void {
    if (!this.#isRelieving) this.#late.takeAll((span) => this.#offer(span))
  }

  /** Answers whether the span may come in. */
  #makeRoomFor(bytes: number): boolean {
    const { maxQueueSize, maxQueueBytes, dropPolicy } = this.#limits
    const lacksSlot = this.count >= maxQueueSize
    if (bytes > maxQueueBytes) return this.#refuse('span_too_large')
    this.#relieve(1, bytes)
    const isFull = this.#exceeds(1, bytes)
    if (isFull && dropPolicy === 'newest') return this.#refuse(lacksSlot ? 'queue_full' : 'queue_bytes_full')
    this.#makeRoom(1, bytes)
    return true
  }

  #refuse(reason: DropReason): false {
    this.#ledger.spanRefused(reason)
    return false
  }

  #exceeds(count: number, bytes: number): boolean {
    const { maxQueueSize, maxQueueBytes } = this.#limits
    return this.count + count > maxQueueSize || this.bytes + bytes > maxQueueBytes
  }

  #relieve(count: number, bytes: number): void {
    // Relieving may put a batch back, which is no reason to begin again.
    if (!this.spiller?.isPossible || this.#isRelieving || !this.#exceeds(count, bytes)) return
    this.#isRelieving = true
    try {
      this.spiller.relieve(() => this.#exceeds(count, bytes))
    } finally {
      this.#isRelieving = false
    }
  }

  #makeRoom(count: number, bytes: number): void {
    while (this.count + count > this.#limits.maxQueueSize) this.#dropOldest('queue_full')
    while (this.bytes + bytes > this.#limits.maxQueueBytes) this.#dropOldest('queue_bytes_full')
  }

  #dropOldest(reason: DropReason): void {
    const parked = this.#parked[0]
    // What was taken out of turn may be parked before older spans have left the queue. Which of them a queue by trace
    // can spare it knows; what is parked belongs to traces of which a part has been taken.
    const isFromQueue =
      parked === undefined ||
      (this.#limits.dropPolicy === 'oldest-trace'
        ? this.#queue.count > 0
        : parked.firstSequence > this.#queue.firstSequence)
    if (isFromQueue) {
      this.#ledger.spanDropped(reason, this.#queue.dropOldest(), 'queue')
      return
    }
    const { bytes, firstSequence } = parked
    parked.dropOldest()
    this.#parkedSpans--
    this.#parkedBytes -= bytes - parked.bytes
    if (parked.count === 0) {
      this.#parked.shift()
      parked.release()
    }
    this.#ledger.spanDropped(reason, firstSequence, 'parked')
  }
}
