/**
 * Records, back to back in segments of 64 KiB, the first of 4: no object on the heap for a span that waits.
 *
 *     head                                                  tail
 *      │                                                     │
 *      ▼                                                     ▼
 *     ┌───────────────────────┐    ┌──────────────┐    ┌──────────────┐
 *     │░░░░│hdr│rec│hdr│rec│  │ ─► │hdr│ record   │ ─► │hdr│rec│      │     spare segments: a small pool
 *     └────▲──────────────────┘    └──────────────┘    └───────▲──────┘
 *          └ #headOffset: the oldest span                       └ tail.end: the next span goes here
 *
 *     hdr: sequence, from the first one of the segment on, u32 │ length u32 │ group and flags u32
 *
 * A record is written at the tail, or goes in there with one copy. The oldest one is dropped by stepping over it.
 */
import { FLAG_ERROR, FLAG_LOCAL_ROOT, type RecordRoom } from '../types.ts'
import type { RecordColumns } from './encoded-records.ts'

const SEGMENT_BYTES = 64 * 1024
/** The first one: an export on its own, or a short invocation, has few spans, and memory has to be zeroed. */
const FIRST_SEGMENT_BYTES = 4 * 1024
/** Segments kept for reuse: enough for 2,048 spans of 500 bytes. */
const MAX_SPARE_SEGMENTS = 16
const HEADER_BYTES = 12
const LENGTH_AT = 4
const GROUP_AT = 8
/** Flags take the lowest bits of a group's four bytes. */
const FLAG_BITS = 2
const FLAGS = FLAG_ERROR | FLAG_LOCAL_ROOT

class Segment implements RecordRoom {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Where the next record goes. */
  end = 0
  /** Records that are still waiting. */
  count = 0
  /** Of the first and the newest record, whether they are still waiting or not. */
  firstSequence = 0
  newestSequence = -1
  next: Segment | undefined

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  get free(): number {
    return this.end + HEADER_BYTES
  }
}

/** Where the header of a record begins. */
export interface Place {
  segment: Segment
  at: number
}

/** The records that wait, oldest first. */
export class RecordLog {
  #head: Segment
  #headOffset = 0
  #tail: Segment
  #spare: Segment | undefined
  #spareCount = 0
  /** Segments without records, not yet known to be out of use. */
  #emptied: Segment | undefined
  #count = 0
  #bytes = 0

  constructor() {
    // The first span brings the first real segment: a processor that never sees one costs nothing.
    this.#head = this.#tail = new Segment(0)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Sequence of the oldest record; `Infinity` when there is none. */
  get firstSequence(): number {
    return this.#count === 0 ? Infinity : sequenceOf(this.#head, this.#headOffset)
  }

  /** Where the next record may be written before it is appended. */
  get room(): RecordRoom {
    return this.#tail
  }

  /** Adds `source[start, end)`; sequences ascend. */
  append(
    sequence: number,
    source: Uint8Array,
    start: number,
    end: number,
    group: number,
    flags: number,
  ): void {
    const length = end - start
    let segment = this.#tail
    if (segment.end + HEADER_BYTES + length > segment.bytes.length)
      segment = this.#grow(HEADER_BYTES + length)
    const at = segment.end
    if (at === 0) segment.firstSequence = sequence
    const view = segment.view
    view.setUint32(at, sequence - segment.firstSequence, true)
    view.setUint32(at + LENGTH_AT, length, true)
    view.setUint32(at + GROUP_AT, (group << FLAG_BITS) | flags, true)
    if (source !== segment.bytes || start !== at + HEADER_BYTES)
      segment.bytes.set(source.subarray(start, end), at + HEADER_BYTES)
    segment.end = at + HEADER_BYTES + length
    segment.count++
    segment.newestSequence = sequence
    this.#count++
    this.#bytes += length
  }

  /** Visits the records. The place it yields is the same object every time. */
  *places(first = this.#head): Generator<Place> {
    let segment: Segment | undefined = first
    let offset = first === this.#head ? this.#headOffset : 0
    const place = { segment, at: 0 }
    while (segment !== undefined) {
      place.segment = segment
      while (offset < segment.end) {
        place.at = offset
        yield place
        offset += HEADER_BYTES + segment.view.getUint32(offset + LENGTH_AT, true)
      }
      segment = segment.next
      offset = 0
    }
  }

  /** How many records have this sequence or an older one. */
  countThrough(sequence: number): number {
    let counted = 0
    let segment: Segment | undefined = this.#head
    while (segment !== undefined && segment.newestSequence <= sequence) {
      counted += segment.count
      segment = segment.next
    }
    if (segment === undefined) return counted
    for (const place of this.places(segment)) {
      if (sequenceAt(place) > sequence) break
      counted++
    }
    return counted
  }

  /** Gives up the oldest record. What is in it can be read until `reclaim`. */
  stepOver(): void {
    const length = this.#head.view.getUint32(this.#headOffset + LENGTH_AT, true)
    this.#headOffset += HEADER_BYTES + length
    this.#head.count--
    this.#count--
    this.#bytes -= length
    const { next } = this.#head
    if (this.#headOffset === this.#head.end && next !== undefined) this.#leaveHead(next)
  }

  /** Enters the oldest records into a table, as many as it has lines, and gives them up: the same as many `stepOver`. */
  take(records: RecordColumns): void {
    let at = this.#headOffset
    let segment = this.#head
    let taken = 0
    for (let i = 0; i < records.count; i++) {
      if (at === segment.end) {
        segment = segment.next as Segment
        at = 0
      }
      const { bytes, view } = segment
      const length = view.getUint32(at + LENGTH_AT, true)
      records.buffers[i] = bytes
      records.offsets[i] = at + HEADER_BYTES
      records.lengths[i] = length
      records.groups[i] = view.getUint32(at + GROUP_AT, true) >>> FLAG_BITS
      records.sequences[i] = sequenceOf(segment, at)
      at += HEADER_BYTES + length
      taken += length
    }
    this.#leave(segment, at, records.count, taken)
  }

  /** Gives up the records at `gone` and keeps the others. What is in them can be read until `reclaim`. */
  remove(gone: ReadonlySet<number>): void {
    const places = Array.from(this.places(), ({ segment, at }) => ({ segment, at }))
    let segment: Segment | undefined = this.#head
    while (segment !== undefined) {
      const { next }: Segment = segment
      segment.count = 0
      segment.next = this.#emptied
      this.#emptied = segment
      segment = next
    }
    this.#head = this.#tail = new Segment(0)
    this.#headOffset = this.#count = this.#bytes = 0
    places.forEach((place, i) => {
      if (!gone.has(i)) this.#copy(place)
    })
  }

  /** Makes emptied segments usable again: nobody reads them any more. */
  reclaim(): void {
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

  #copy(place: Place): void {
    const start = place.at + HEADER_BYTES
    const end = start + lengthAt(place)
    this.append(sequenceAt(place), place.segment.bytes, start, end, groupAt(place), flagsAt(place))
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
}

function sequenceOf({ firstSequence, view }: Segment, at: number): number {
  return firstSequence + view.getUint32(at, true)
}

export function sequenceAt({ segment, at }: Place): number {
  return sequenceOf(segment, at)
}

export function lengthAt({ segment, at }: Place): number {
  return segment.view.getUint32(at + LENGTH_AT, true)
}

export function groupAt({ segment, at }: Place): number {
  return segment.view.getUint32(at + GROUP_AT, true) >>> FLAG_BITS
}

export function flagsAt({ segment, at }: Place): number {
  return segment.view.getUint32(at + GROUP_AT, true) & FLAGS
}

/** Enters a record into line `i` of a table. */
export function enter(place: Place, records: RecordColumns, i: number): void {
  records.buffers[i] = place.segment.bytes
  records.offsets[i] = place.at + HEADER_BYTES
  records.lengths[i] = lengthAt(place)
  records.groups[i] = groupAt(place)
  records.sequences[i] = sequenceAt(place)
}
