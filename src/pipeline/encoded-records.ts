/** Batches of encoded spans: cut, trimmed and framed again without being encoded again. */
import type { EncodedBatch, RecordTable, SpanEncoder } from '../types.ts'
import type { Batch } from './queue.ts'

/** The records of a batch, one column a property: see `RecordTable`. */
export class RecordColumns implements RecordTable {
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

/** A body larger than this is not kept for the next batch. */
const SPARE_BYTES_MAX = 2 ** 20

/** The memory of request bodies. A fresh one takes longer than framing: its pages come from the system, zeroed. */
class Bodies {
  #spare: Uint8Array | undefined

  allocate(bytes: number): Uint8Array {
    const spare = this.#spare
    this.#spare = undefined
    if (spare !== undefined && spare.length >= bytes) return spare
    // The next batch is about as large.
    return new Uint8Array(bytes + (bytes >> 3))
  }

  /** The memory may be overwritten from now on. */
  giveBack({ buffer }: Uint8Array): void {
    const { byteLength } = buffer
    if (byteLength > SPARE_BYTES_MAX || byteLength <= (this.#spare?.length ?? 0)) return
    this.#spare = new Uint8Array(buffer)
  }
}

/** What the batches of one queue share. */
export class Taken {
  readonly encoder: SpanEncoder
  readonly batches = new Set<EncodedRecords>()
  readonly bodies = new Bodies()

  constructor(encoder: SpanEncoder) {
    this.encoder = encoder
  }
}

/** A batch of records. It owns the body they were framed into, and is framed again only after it was cut. */
export class EncodedRecords implements Batch<EncodedBatch> {
  attempts = 0
  #records: RecordColumns
  readonly #taken: Taken
  #bytes = 0
  /** Records given up since the last framing; they are the first ones. */
  #dropped = 0
  #framed: EncodedBatch | undefined

  constructor(records: RecordColumns, taken: Taken) {
    this.#records = records
    this.#taken = taken
    for (let i = 0; i < records.count; i++) this.#bytes += records.lengths[i] as number
    taken.batches.add(this)
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
    const { encoder, bodies } = this.#taken
    const body = encoder.frame(records, (bytes) => bodies.allocate(bytes))
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
    // The halves still lie in the body.
    this.#taken.batches.delete(this)
    return [
      new EncodedRecords(this.#records.slice(this.#dropped, middle), this.#taken),
      new EncodedRecords(this.#records.slice(middle, count), this.#taken),
    ]
  }

  release(): void {
    const { batches, bodies } = this.#taken
    if (batches.delete(this) && this.#framed?.readers === 0) bodies.giveBack(this.#framed.body)
  }

  addGroups(live: Set<number>): void {
    for (const group of this.#records.groups) live.add(group)
  }
}
