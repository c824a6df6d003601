/**
 * The queue of encoded spans. A span goes in with one copy; the bytes lie in a `RecordLog`. A batch is framed when it is
 * taken, which copies the records into the request body, so the log's segments are free again at once.
 */
import type { EncodedBatch, ReadableSpan, RecordRoom, RecordSink, SpanEncoder } from '../types.ts'
import { EncodedRecords, RecordColumns, Taken } from './encoded-records.ts'
import { mostImportant } from './importance.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'
import { enter, flagsAt, groupAt, lengthAt, RecordLog, sequenceAt } from './record-log.ts'

/** Groups remembered before those that no span refers to are forgotten. */
const MIN_GROUP_LIMIT = 1024
/** Lengths in front of a group, its scope's and its resource's, take no more bytes than this, however long it is. */
const GROUP_LENGTHS_BYTES = 8

/** The bounded queue of encoded spans. The bounds themselves are its owner's: see `Admission`. */
export class Arena implements SpanQueue<EncodedBatch>, RecordSink {
  readonly #encoder: SpanEncoder
  readonly #admission: Admission
  readonly #log = new RecordLog()
  readonly #taken: Taken
  /** The batches that are being framed just now, the oldest first: user code that runs meanwhile may need room. */
  readonly #leaving: EncodedRecords[] = []
  /** Spans being encoded just now. */
  #encoding = 0
  #groupLimit = MIN_GROUP_LIMIT

  constructor(encoder: SpanEncoder, admission: Admission) {
    this.#encoder = encoder
    this.#admission = admission
    this.#taken = new Taken(encoder)
  }

  get count(): number {
    return this.#log.count
  }

  get bytes(): number {
    return this.#log.bytes
  }

  get leavingBytes(): number {
    return this.#leaving.reduce((bytes, batch) => bytes + batch.bytes, 0)
  }

  get firstSequence(): number {
    return Math.min(this.#log.firstSequence, this.#leaving[0]?.firstSequence ?? Infinity)
  }

  offer(span: ReadableSpan): void {
    this.#encoding++
    try {
      this.#encoder.encode(span, this)
    } finally {
      this.#encoding--
    }
    this.#reclaim()
    // A span that is still being encoded, this one having ended meanwhile, has a group that no record refers to yet.
    if (this.#encoding === 0 && this.#encoder.groupCount > this.#groupLimit) this.#forgetUnusedGroups()
  }

  room(): RecordRoom {
    return this.#log.room
  }

  append(source: Uint8Array, start: number, end: number, group: number, flags: number): void {
    const sequence = this.#admission.admit(end - start)
    if (sequence !== REFUSED) this.#log.append(sequence, source, start, end, group, flags)
  }

  dropOldest(): number {
    const { firstSequence } = this.#log
    if (firstSequence === Infinity) return Infinity
    this.#log.stepOver()
    this.#reclaim()
    return firstSequence
  }

  take(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    const count = this.#countThatFits(Math.min(maxCount, this.count), maxBytes)
    if (count === 0) return undefined
    const records = new RecordColumns(count)
    this.#log.take(records)
    return this.#frame(records)
  }

  takeFirst(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    if (this.#leaving.length > 0 || this.count === 0) return undefined
    const maxRecordBytes = maxBytes - this.#frameBytes()
    const lengths = Array.from(this.#log.places(), lengthAt)
    const flags = Array.from(this.#log.places(), flagsAt)
    const chosen = mostImportant(lengths, flags, maxCount, maxRecordBytes)
    if (chosen.size === 0) return undefined
    const records = new RecordColumns(chosen.size)
    let i = 0
    let taken = 0
    for (const place of this.#log.places()) if (chosen.has(i++)) enter(place, records, taken++)
    this.#log.remove(chosen)
    return this.#frame(records)
  }

  countThrough(sequence: number): number {
    let counted = this.#log.countThrough(sequence)
    for (const batch of this.#leaving) counted += batch.countThrough(sequence)
    return counted
  }

  scopesAfter(sequence: number): Map<string, number> {
    const scopes = new Map<string, number>()
    for (const place of this.#log.places()) {
      if (sequenceAt(place) <= sequence) continue
      const name = this.#encoder.scopeName(groupAt(place))
      scopes.set(name, (scopes.get(name) ?? 0) + 1)
    }
    return scopes
  }

  whenReady(): Promise<void> | undefined {
    return this.#encoder.whenResourcesSettle()
  }

  #countThatFits(maxCount: number, maxBytes: number): number {
    // Most often all of them do.
    if (this.bytes <= maxBytes) return maxCount
    let fits = 0
    let total = 0
    for (const place of this.#log.places()) {
      if (fits === maxCount) break
      total += lengthAt(place)
      if (total > maxBytes && fits > 0) break
      fits++
    }
    return fits
  }

  /** @param records - No longer in the log. */
  #frame(records: RecordColumns): EncodedRecords {
    const batch = new EncodedRecords(records, this.#taken)
    this.#leaving.push(batch)
    try {
      batch.frame()
    } finally {
      this.#leaving.pop()
      this.#reclaim()
    }
    return batch
  }

  /** What framing adds to the records at most: tried out with one record of each group. */
  #frameBytes(): number {
    const groups = new Set(Array.from(this.#log.places(), groupAt))
    const records = new RecordColumns(groups.size)
    let lengths = 0
    let i = 0
    for (const place of this.#log.places()) {
      if (!groups.delete(groupAt(place))) continue
      enter(place, records, i++)
      lengths += lengthAt(place)
    }
    const { length } = this.#encoder.frame(records, (bytes) => new Uint8Array(bytes))
    return length - lengths + GROUP_LENGTHS_BYTES * records.count
  }

  /**
   * Framing may run user code (a resource's getter, a logger) that ends a span: the log waits for its end. Nor is a
   * segment used again in which a span is being written.
   */
  #reclaim(): void {
    if (this.#leaving.length === 0 && this.#encoding === 0) this.#log.reclaim()
  }

  #forgetUnusedGroups(): void {
    const live = new Set<number>()
    for (const place of this.#log.places()) live.add(groupAt(place))
    for (const batch of this.#taken.batches) batch.addGroups(live)
    this.#encoder.retainGroups(live)
    this.#groupLimit = Math.max(MIN_GROUP_LIMIT, 2 * this.#encoder.groupCount)
  }
}
