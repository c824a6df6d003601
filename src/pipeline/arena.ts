/**
 * Encoded spans, back to back in segments of 64 KiB, the first of 4: no object on the heap for a span that waits.
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
import type { EncodedBatch, ReadableSpan, RecordSink, SpanEncoder } from '../types.ts'
import { EncodedRecords, RecordColumns, Taken } from './encoded-records.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'

const SEGMENT_BYTES = 64 * 1024
/** The first one: an export on its own, or a short invocation, has few spans, and memory has to be zeroed. */
const FIRST_SEGMENT_BYTES = 4 * 1024
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
  /** Records that are still waiting, and the sequence of the newest. */
  count = 0
  newestSequence = -1
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
  readonly #taken: Taken
  #head: Segment
  #headOffset = 0
  #tail: Segment
  #spare: Segment | undefined
  #spareCount = 0
  /** Segments without records, not yet known to be out of use. */
  #emptied: Segment | undefined
  /** The batch that is being framed just now. */
  #leaving: EncodedRecords | undefined
  /** Spans being encoded just now. */
  #encoding = 0
  #groupLimit = MIN_GROUP_LIMIT
  #count = 0
  #bytes = 0

  constructor(encoder: SpanEncoder, admission: Admission) {
    this.#encoder = encoder
    this.#admission = admission
    this.#taken = new Taken(encoder)
    // The first span brings the first real segment: a processor that never sees one costs nothing.
    this.#head = this.#tail = new Segment(0)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  get leavingBytes(): number {
    return this.#leaving?.bytes ?? 0
  }

  get firstSequence(): number {
    if (this.#leaving !== undefined) return this.#leaving.firstSequence
    return this.#count === 0 ? Infinity : this.#head.view.getFloat64(this.#headOffset, true)
  }

  offer(span: ReadableSpan): void {
    this.#encoding++
    try {
      this.#encoder.encode(span, this)
    } finally {
      this.#encoding--
    }
    // A span that is still being encoded, this one having ended meanwhile, has a group that no record refers to yet.
    if (this.#encoding === 0 && this.#encoder.groupCount > this.#groupLimit) this.#forgetUnusedGroups()
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
    segment.count++
    segment.newestSequence = sequence
    this.#count++
    this.#bytes += length
  }

  dropOldest(): number {
    if (this.#count === 0) return Infinity
    const sequence = this.#head.view.getFloat64(this.#headOffset, true)
    this.#stepOver()
    this.#reclaim()
    return sequence
  }

  take(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    const count = this.#countThatFits(Math.min(maxCount, this.#count), maxBytes)
    if (count === 0) return undefined
    const records = new RecordColumns(count)
    let at = this.#headOffset
    let segment = this.#head
    for (let i = 0; i < count; i++) {
      if (at === segment.end) {
        segment = segment.next as Segment
        at = 0
      }
      const { bytes, view } = segment
      const length = view.getUint32(at + LENGTH_AT, true)
      records.buffers[i] = bytes
      records.offsets[i] = at + HEADER_BYTES
      records.lengths[i] = length
      records.groups[i] = view.getUint32(at + GROUP_AT, true)
      records.sequences[i] = view.getFloat64(at, true)
      at += HEADER_BYTES + length
    }
    const batch = new EncodedRecords(records, this.#taken)
    this.#leaving = batch
    this.#leave(segment, at, count, batch.bytes)
    try {
      batch.frame()
    } finally {
      this.#leaving = undefined
      this.#reclaim()
    }
    return batch
  }

  countThrough(sequence: number): number {
    let counted = this.#leaving?.countThrough(sequence) ?? 0
    let segment: Segment | undefined = this.#head
    while (segment !== undefined && segment.newestSequence <= sequence) {
      counted += segment.count
      segment = segment.next
    }
    if (segment === undefined) return counted
    for (const { view, at } of this.#walk(segment)) {
      if (view.getFloat64(at, true) > sequence) break
      counted++
    }
    return counted
  }

  scopesAfter(sequence: number): Map<string, number> {
    const scopes = new Map<string, number>()
    for (const { view, at } of this.#walk()) {
      if (view.getFloat64(at, true) <= sequence) continue
      const name = this.#encoder.scopeName(view.getUint32(at + GROUP_AT, true))
      scopes.set(name, (scopes.get(name) ?? 0) + 1)
    }
    return scopes
  }

  whenReady(): Promise<void> | undefined {
    return this.#encoder.whenResourcesSettle()
  }

  #countThatFits(maxCount: number, maxBytes: number): number {
    // Most often all of them do.
    if (this.#bytes <= maxBytes) return Math.min(maxCount, this.#count)
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

  /** Visits the header of every waiting record from `first` on. The object it yields is the same every time. */
  *#walk(first = this.#head): Generator<{ view: DataView; at: number }> {
    let segment: Segment | undefined = first
    let offset = first === this.#head ? this.#headOffset : 0
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
    this.#head.count--
    this.#count--
    this.#bytes -= length
    const { next } = this.#head
    if (this.#headOffset === this.#head.end && next !== undefined) this.#leaveHead(next)
  }

  /** Steps over all that lies in front of a place. */
  #leave(last: Segment, offset: number, count: number, bytes: number): void {
    let left = count
    while (this.#head !== last) {
      left -= this.#head.count
      this.#head.count = 0
      this.#leaveHead(this.#head.next as Segment)
    }
    last.count -= left
    this.#headOffset = offset
    this.#count -= count
    this.#bytes -= bytes
    if (offset === last.end && last.next !== undefined) this.#leaveHead(last.next)
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
    if (this.#leaving !== undefined) return
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
      const isFirst = this.#tail.bytes.length === 0 && needed <= FIRST_SEGMENT_BYTES
      segment = new Segment(isFirst ? FIRST_SEGMENT_BYTES : SEGMENT_BYTES)
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
    for (const batch of this.#taken.batches) batch.addGroups(live)
    this.#encoder.retainGroups(live)
    this.#groupLimit = Math.max(MIN_GROUP_LIMIT, 2 * this.#encoder.groupCount)
  }
}
