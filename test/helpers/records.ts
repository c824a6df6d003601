import type { ReadableSpan, RecordRoom, RecordSink, RecordTable, SpanEncoder } from '../../src/types.ts'

/** Room for a record, as much as an encoder asks for at first: what is larger outgrows it. */
const ROOM_BYTES = 4096

/**
 * Keeps records as a queue does: one behind the other in one buffer, so that neighbours can be copied together. They are
 * written there at once, unless there are gaps.
 */
export class RecordCollector implements RecordSink {
  #bytes = new Uint8Array(1024)
  #end = 0
  readonly #gap: number
  readonly offsets: number[] = []
  readonly lengths: number[] = []
  readonly groups: number[] = []
  readonly traceHashes: number[] = []
  readonly flags: number[] = []

  readonly room?: () => RecordRoom

  /** @param gap - Bytes between records: 0 makes neighbours. */
  constructor(gap = 0) {
    this.#gap = gap
    if (gap === 0) {
      this.room = () => {
        this.#reserve(ROOM_BYTES)
        return { bytes: this.#bytes, view: new DataView(this.#bytes.buffer), free: this.#end }
      }
    }
  }

  append(
    source: Uint8Array,
    start: number,
    end: number,
    group: number,
    flags: number,
    traceHash: number,
  ): void {
    const length = end - start
    this.#reserve(length)
    if (source !== this.#bytes || start !== this.#end) this.#bytes.set(source.subarray(start, end), this.#end)
    this.offsets.push(this.#end)
    this.lengths.push(length)
    this.groups.push(group)
    this.traceHashes.push(traceHash)
    this.flags.push(flags)
    this.#end += length + this.#gap
  }

  #reserve(length: number): void {
    if (this.#end + length <= this.#bytes.length) return
    const grown = new Uint8Array(this.#end + Math.max(length, ROOM_BYTES))
    grown.set(this.#bytes)
    this.#bytes = grown
  }

  /** The records as a table. */
  table(): RecordTable {
    return {
      count: this.offsets.length,
      buffers: this.offsets.map(() => this.#bytes),
      offsets: Int32Array.from(this.offsets),
      lengths: Int32Array.from(this.lengths),
      groups: Int32Array.from(this.groups),
    }
  }
}

/** The records of `table` from `start` to `end`, which now lie in `body`. */
export function part(table: RecordTable, body: Uint8Array, start: number, end: number): RecordTable {
  return {
    count: end - start,
    buffers: Array.from({ length: end - start }, () => body),
    offsets: table.offsets.slice(start, end),
    lengths: table.lengths.slice(start, end),
    groups: table.groups.slice(start, end),
  }
}

/** Gives a buffer that is larger than asked for and full of rubbish, as one from a pool is. */
export function allocateUsed(bytes: number): Uint8Array {
  return new Uint8Array(bytes + 7).fill(0xa5)
}

/** Encodes and frames spans in one go. */
export function encodeAll(encoder: SpanEncoder, spans: Iterable<ReadableSpan>, gap = 0): Uint8Array {
  const records = new RecordCollector(gap)
  for (const span of spans) encoder.encode(span, records)
  return encoder.frame(records.table(), allocateUsed)
}
