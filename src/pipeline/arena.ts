/**
 * Encoded spans, back to back in segments of 64 KiB: no object on the heap for a span that waits.
 *
 *     head                                                  tail
 *      │                                                     │
 *      ▼                                                     ▼
 *     ┌───────────────────────┐    ┌──────────────┐    ┌──────────────┐
 *     │░░░░│hdr│rec│hdr│rec│  │ ─► │hdr│ record   │ ─► │hdr│rec│      │     spare segments: a small pool
 *     └────▲──────────────────┘    └──────────────┘    └───────▲──────┘
 *          └ #headOffset: the oldest span                       └ tail.end: the next span goes here
 *
 *     hdr: sequence f64 │ length u32 │ group u32 │ trace hash u32 │ flags u32
 *
 * A span goes in at the tail with one copy. The oldest one is dropped by stepping over it. A batch is framed when it
 * is taken, which copies the records into the request body, so the segments are free again at once.
 */
import type { EncodedBatch, ReadableSpan, RecordSink, RecordTable, SpanEncoder } from '../types.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'

const SEGMENT_BYTES = 64 * 1024
/** Segments kept for reuse: enough for 2,048 spans of 500 bytes. */
const MAX_SPARE_SEGMENTS = 16
const HEADER_BYTES = 24
const LENGTH_AT = 8
const GROUP_AT = 12
const TRACE_HASH_AT = 16
const FLAGS_AT = 20
/** Groups remembered before those that no span refers to are forgotten. */
const MIN_GROUP_LIMIT = 1024

class Segment {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Where the next record goes. */
  end = 0
  next: Segment | undefined

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }
}

/** The bounded queue of encoded spans. The bounds themselves are its owner's: see `Admission`. */
export class Arena implements SpanQueue<EncodedBatch>, RecordSink {
  readonly #encoder: SpanEncoder
  readonly #admission: Admission
  readonly #taken = new Set<EncodedRecords>()
  #head: Segment
  #headOffset = 0
  #tail: Segment
  #spare: Segment | undefined
  #spareCount = 0
  /** Segments without records, not yet known to be out of use. */
  #emptied: Segment | undefined
  /** Batches being framed just now. */
  #framing = 0
  #groupLimit = MIN_GROUP_LIMIT
  #count = 0
  #bytes = 0

  constructor(encoder: SpanEncoder, admission: Admission) {
    this.#encoder = encoder
    this.#admission = admission
    // The first span brings the first real segment: a processor that never sees one costs nothing.
    this.#head = this.#tail = new Segment(0)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  get firstSequence(): number {
    return this.#count === 0 ? Infinity : this.#head.view.getFloat64(this.#headOffset, true)
  }

  offer(span: ReadableSpan): void {
    this.#encoder.encode(span, this)
    if (this.#encoder.groupCount > this.#groupLimit) this.#forgetUnusedGroups()
  }

  append(
    source: Uint8Array,
    start: number,
    end: number,
    group: number,
    traceHash: number,
    flags: number,
  ): void {
    const length = end - start
    const sequence = this.#admission.admit(length)
    if (sequence === REFUSED) return
    let segment = this.#tail
    if (segment.end + HEADER_BYTES + length > segment.bytes.length)
      segment = this.#grow(HEADER_BYTES + length)
    const at = segment.end
    const view = segment.view
    view.setFloat64(at, sequence, true)
    view.setUint32(at + LENGTH_AT, length, true)
    view.setUint32(at + GROUP_AT, group, true)
    view.setUint32(at + TRACE_HASH_AT, traceHash, true)
    view.setUint32(at + FLAGS_AT, flags, true)
    segment.bytes.set(source.subarray(start, end), at + HEADER_BYTES)
    segment.end = at + HEADER_BYTES + length
    this.#count++
    this.#bytes += length
  }

  dropOldest(): void {
    if (this.#count === 0) return
    this.#stepOver()
    this.#reclaim()
  }

  take(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    const count = this.#countThatFits(Math.min(maxCount, this.#count), maxBytes)
    if (count === 0) return undefined
    const records = new RecordColumns(count)
    this.#framing++
    for (let i = 0; i < count; i++) {
      const { bytes, view } = this.#head
      const at = this.#headOffset
      records.buffers[i] = bytes
      records.offsets[i] = at + HEADER_BYTES
      records.lengths[i] = view.getUint32(at + LENGTH_AT, true)
      records.groups[i] = view.getUint32(at + GROUP_AT, true)
      records.sequences[i] = view.getFloat64(at, true)
      this.#stepOver()
    }
    const batch = new EncodedRecords(records, this.#encoder, this.#taken)
    try {
      batch.frame()
    } finally {
      this.#framing--
      this.#reclaim()
    }
    return batch
  }

  countThrough(sequence: number): number {
    let counted = 0
    for (const { view, at } of this.#walk()) {
      if (view.getFloat64(at, true) > sequence) break
      counted++
    }
    return counted
  }

  whenReady(): Promise<void> | undefined {
    return this.#encoder.whenResourcesSettle()
  }

  #countThatFits(maxCount: number, maxBytes: number): number {
    let fits = 0
    let total = 0
    for (const { view, at } of this.#walk()) {
      if (fits === maxCount) break
      total += view.getUint32(at + LENGTH_AT, true)
      if (total > maxBytes && fits > 0) break
      fits++
    }
    return fits
  }

  /** Visits the header of every waiting record, oldest first. The object it yields is the same every time. */
  *#walk(): Generator<{ view: DataView; at: number }> {
    let segment: Segment | undefined = this.#head
    let offset = this.#headOffset
    const place = { view: segment.view, at: 0 }
    while (segment !== undefined) {
      place.view = segment.view
      while (offset < segment.end) {
        place.at = offset
        yield place
        offset += HEADER_BYTES + segment.view.getUint32(offset + LENGTH_AT, true)
      }
      segment = segment.next
      offset = 0
    }
  }

  #stepOver(): void {
    const length = this.#head.view.getUint32(this.#headOffset + LENGTH_AT, true)
    this.#headOffset += HEADER_BYTES + length
    this.#count--
    this.#bytes -= length
    const { next } = this.#head
    if (this.#headOffset === this.#head.end && next !== undefined) this.#leaveHead(next)
  }

  #leaveHead(next: Segment): void {
    const emptied = this.#head
    this.#head = next
    this.#headOffset = 0
    emptied.next = this.#emptied
    this.#emptied = emptied
  }

  /**
   * Makes emptied segments usable again, but not while a batch is being framed out of them: framing may run user code
   * (a resource's getter, a logger) that ends a span.
   */
  #reclaim(): void {
    if (this.#framing > 0) return
    while (this.#emptied !== undefined) {
      const segment = this.#emptied
      this.#emptied = segment.next
      if (segment.bytes.length !== SEGMENT_BYTES || this.#spareCount === MAX_SPARE_SEGMENTS) continue
      segment.end = 0
      segment.next = this.#spare
      this.#spare = segment
      this.#spareCount++
    }
    if (this.#count === 0) this.#headOffset = this.#tail.end = 0
  }

  #grow(needed: number): Segment {
    let segment: Segment
    if (needed > SEGMENT_BYTES) {
      segment = new Segment(needed)
    } else if (this.#spare !== undefined) {
      segment = this.#spare
      this.#spare = segment.next
      this.#spareCount--
      segment.next = undefined
    } else {
      segment = new Segment(SEGMENT_BYTES)
    }
    const full = this.#tail
    full.next = segment
    this.#tail = segment
    if (this.#head === full && this.#headOffset === full.end) this.#leaveHead(segment)
    return segment
  }

  #forgetUnusedGroups(): void {
    const live = new Set<number>()
    for (const { view, at } of this.#walk()) live.add(view.getUint32(at + GROUP_AT, true))
    for (const batch of this.#taken) batch.addGroups(live)
    this.#encoder.retainGroups(live)
    this.#groupLimit = Math.max(MIN_GROUP_LIMIT, 2 * this.#encoder.groupCount)
  }
}

/** The records of a batch, one column a property: see `RecordTable`. */
class RecordColumns implements RecordTable {
  readonly count: number
  readonly buffers: Uint8Array[]
  readonly offsets: Int32Array
  readonly lengths: Int32Array
  readonly groups: Int32Array
  readonly sequences: Float64Array

  constructor(count: number) {
    this.count = count
    this.buffers = new Array<Uint8Array>(count)
    this.offsets = new Int32Array(count)
    this.lengths = new Int32Array(count)
    this.groups = new Int32Array(count)
    this.sequences = new Float64Array(count)
  }

  slice(from: number, to: number): RecordColumns {
    const part = new RecordColumns(to - from)
    for (let i = from; i < to; i++) part.buffers[i - from] = this.buffers[i] as Uint8Array
    part.offsets.set(this.offsets.subarray(from, to))
    part.lengths.set(this.lengths.subarray(from, to))
    part.groups.set(this.groups.subarray(from, to))
    part.sequences.set(this.sequences.subarray(from, to))
    return part
  }
}

/** A batch of records. It owns the body they were framed into, and is framed again only after it was cut. */
class EncodedRecords implements Batch<EncodedBatch> {
  #records: RecordColumns
  readonly #encoder: SpanEncoder
  readonly #taken: Set<EncodedRecords>
  #bytes = 0
  /** Records given up since the last framing; they are the first ones. */
  #dropped = 0
  #framed: EncodedBatch | undefined

  constructor(records: RecordColumns, encoder: SpanEncoder, taken: Set<EncodedRecords>) {
    this.#records = records
    this.#encoder = encoder
    this.#taken = taken
    for (const length of records.lengths) this.#bytes += length
    taken.add(this)
  }

  get count(): number {
    return this.#records.count - this.#dropped
  }

  get bytes(): number {
    return this.#bytes
  }

  get firstSequence(): number {
    return this.count === 0 ? Infinity : (this.#records.sequences[this.#dropped] as number)
  }

  get payload(): EncodedBatch {
    return this.#framed ?? this.frame()
  }

  frame(): EncodedBatch {
    if (this.#dropped > 0) {
      this.#records = this.#records.slice(this.#dropped, this.#records.count)
      this.#dropped = 0
    }
    const records = this.#records
    const body = this.#encoder.frame(records, (bytes) => new Uint8Array(bytes))
    records.buffers.fill(body)
    this.#framed = { body, spanCount: records.count }
    return this.#framed
  }

  countThrough(sequence: number): number {
    const { sequences, count } = this.#records
    let end = count
    while (end > this.#dropped && (sequences[end - 1] as number) > sequence) end--
    return end - this.#dropped
  }

  dropOldest(): void {
    if (this.count === 0) return
    this.#bytes -= this.#records.lengths[this.#dropped] as number
    this.#dropped++
    this.#framed = undefined
  }

  split(): [EncodedRecords, EncodedRecords] {
    const { count } = this.#records
    const middle = this.#dropped + (this.count >> 1)
    this.release()
    return [
      new EncodedRecords(this.#records.slice(this.#dropped, middle), this.#encoder, this.#taken),
      new EncodedRecords(this.#records.slice(middle, count), this.#encoder, this.#taken),
    ]
  }

  release(): void {
    this.#taken.delete(this)
  }

  addGroups(live: Set<number>): void {
    for (const group of this.#records.groups) live.add(group)
  }
}
