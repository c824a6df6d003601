/**
 * Spans that wait as objects: for stock exporters, which take objects, and for `encodeAt: 'flush'`.
 *
 *     head                                          tail
 *     ┌──────────────────────┐    ┌──────────────────────┐
 *     │ ░ ░ ░ │ s │ s │ … │ s │ ─► │ s │ s │   │   │ …   │     chunks of 256; the emptied one becomes the next tail
 *     └───────▲──────────────┘    └───────▲──────────────┘
 *          head.from                   tail.to
 *
 * Growing never copies, so `onEnd` costs the same however large the queue is. Slots are cleared as they are left.
 */
import type { Attributes } from '@opentelemetry/api'
import type { EncodedBatch, ReadableSpan, SpanEncoder } from '../types.ts'
import { Arena } from './arena.ts'
import { PendingResources } from './pending-resources.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'

const CHUNK_SPANS = 256

/** Deeper values are not looked into: they may be cycles. */
const MAX_ESTIMATED_DEPTH = 4

class Chunk {
  readonly spans = new Array<ReadableSpan | undefined>(CHUNK_SPANS).fill(undefined)
  readonly sequences = new Float64Array(CHUNK_SPANS)
  readonly sizes = new Float64Array(CHUNK_SPANS)
  from = 0
  to = 0
  next: Chunk | undefined
}

/** The bounded queue of span objects. Their size is estimated. The bounds themselves are its owner's. */
export class SpanRing implements SpanQueue<ReadableSpan[]> {
  /** No code but ours runs while spans are taken as they are. */
  readonly leavingBytes = 0
  readonly #admission: Admission
  readonly #resources = new PendingResources()
  #head = new Chunk()
  #tail = this.#head
  #spare: Chunk | undefined
  #count = 0
  #bytes = 0

  constructor(admission: Admission) {
    this.#admission = admission
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  get firstSequence(): number {
    return this.#count === 0 ? Infinity : (this.#head.sequences[this.#head.from] as number)
  }

  offer(span: ReadableSpan): void {
    const size = approximateBytes(span)
    const sequence = this.#admission.admit(size)
    if (sequence === REFUSED) return
    this.#resources.add(span.resource)
    let chunk = this.#tail
    if (chunk.to === CHUNK_SPANS) chunk = this.#grow()
    chunk.spans[chunk.to] = span
    chunk.sequences[chunk.to] = sequence
    chunk.sizes[chunk.to] = size
    chunk.to++
    this.#count++
    this.#bytes += size
  }

  dropOldest(): number {
    if (this.#count === 0) return Infinity
    const sequence = this.#head.sequences[this.#head.from] as number
    this.#shift()
    return sequence
  }

  take(maxCount: number, maxBytes: number): SpanBatch | undefined {
    const batch = new SpanBatch()
    while (this.#count > 0 && batch.count < maxCount) {
      const { sequences, sizes, from } = this.#head
      const size = sizes[from] as number
      if (batch.count > 0 && batch.bytes + size > maxBytes) break
      batch.add(sequences[from] as number, size, this.#shift())
    }
    return batch.count > 0 ? batch : undefined
  }

  countThrough(sequence: number): number {
    let counted = 0
    for (let chunk: Chunk | undefined = this.#head; chunk !== undefined; chunk = chunk.next) {
      let { to } = chunk
      while (to > chunk.from && (chunk.sequences[to - 1] as number) > sequence) to--
      counted += to - chunk.from
    }
    return counted
  }

  scopesAfter(sequence: number): Map<string, number> {
    const scopes = new Map<string, number>()
    for (let chunk: Chunk | undefined = this.#head; chunk !== undefined; chunk = chunk.next) {
      for (let i = chunk.from; i < chunk.to; i++) {
        if ((chunk.sequences[i] as number) <= sequence) continue
        const name = scopeNameOf(chunk.spans[i] as ReadableSpan)
        scopes.set(name, (scopes.get(name) ?? 0) + 1)
      }
    }
    return scopes
  }

  whenReady(): Promise<void> | undefined {
    return this.#resources.whenSettled()
  }

  #shift(): ReadableSpan {
    const chunk = this.#head
    const span = chunk.spans[chunk.from] as ReadableSpan
    chunk.spans[chunk.from] = undefined
    this.#bytes -= chunk.sizes[chunk.from] as number
    this.#count--
    chunk.from++
    if (chunk.from === chunk.to) {
      chunk.from = chunk.to = 0
      if (chunk.next !== undefined) {
        this.#head = chunk.next
        chunk.next = undefined
        this.#spare = chunk
      }
    }
    return span
  }

  #grow(): Chunk {
    const chunk = this.#spare ?? new Chunk()
    this.#spare = undefined
    this.#tail.next = chunk
    this.#tail = chunk
    return chunk
  }
}

/** A batch of span objects. */
class SpanBatch implements Batch<ReadableSpan[]> {
  attempts = 0
  readonly payload: ReadableSpan[] = []
  readonly #sequences: number[] = []
  readonly #sizes: number[] = []
  #bytes = 0

  get count(): number {
    return this.payload.length
  }

  get bytes(): number {
    return this.#bytes
  }

  get firstSequence(): number {
    return this.#sequences[0] ?? Infinity
  }

  add(sequence: number, size: number, span: ReadableSpan): void {
    this.payload.push(span)
    this.#sequences.push(sequence)
    this.#sizes.push(size)
    this.#bytes += size
  }

  /** Visits the spans with their sequences, oldest first. */
  forEach(visit: (span: ReadableSpan, sequence: number) => void): void {
    for (let i = 0; i < this.count; i++) visit(this.payload[i] as ReadableSpan, this.#sequences[i] as number)
  }

  countThrough(sequence: number): number {
    let end = this.count
    while (end > 0 && (this.#sequences[end - 1] as number) > sequence) end--
    return end
  }

  dropOldest(): void {
    if (this.count === 0) return
    this.payload.shift()
    this.#sequences.shift()
    this.#bytes -= this.#sizes.shift() as number
  }

  split(): [SpanBatch, SpanBatch] {
    const halves: [SpanBatch, SpanBatch] = [new SpanBatch(), new SpanBatch()]
    const middle = this.count >> 1
    for (let i = 0; i < this.count; i++) {
      const half = halves[i < middle ? 0 : 1]
      half.add(this.#sequences[i] as number, this.#sizes[i] as number, this.payload[i] as ReadableSpan)
    }
    return halves
  }

  release(): void {}
}

/** `encodeAt: 'flush'`: spans wait as objects, so that a later processor can still redact them, and leave encoded. */
export class LateEncodingRing implements SpanQueue<EncodedBatch> {
  readonly #ring: SpanRing
  readonly #admission: Admission
  readonly #arena: Arena
  /** The batch that is being encoded just now, and those of its spans that could not be. */
  #leaving: SpanBatch | undefined
  #failed: number[] = []
  /** The sequence of the span being encoded: the arena takes it in under the number it already has. */
  #sequence = REFUSED

  constructor(encoder: SpanEncoder, admission: Admission) {
    this.#ring = new SpanRing(admission)
    this.#admission = admission
    this.#arena = new Arena(encoder, { admit: () => this.#sequence, encodingFailed: () => {} })
  }

  get count(): number {
    return this.#ring.count
  }

  get bytes(): number {
    return this.#ring.bytes
  }

  get leavingBytes(): number {
    return this.#leaving?.bytes ?? 0
  }

  get firstSequence(): number {
    return this.#leaving?.firstSequence ?? this.#ring.firstSequence
  }

  offer(span: ReadableSpan): void {
    this.#ring.offer(span)
  }

  dropOldest(): number {
    return this.#ring.dropOldest()
  }

  take(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    const spans = this.#ring.take(maxCount, maxBytes)
    this.#leaving = spans
    spans?.forEach((span, sequence) => {
      this.#sequence = sequence
      try {
        this.#arena.offer(span)
      } catch (cause) {
        this.#failed.push(sequence)
        this.#admission.encodingFailed(sequence, cause)
      }
    })
    const batch = this.#arena.take(Infinity, Infinity)
    this.#leaving = undefined
    this.#failed = []
    return batch
  }

  countThrough(sequence: number): number {
    const failed = this.#failed.filter((each) => each <= sequence).length
    return (this.#leaving?.countThrough(sequence) ?? 0) - failed + this.#ring.countThrough(sequence)
  }

  scopesAfter(sequence: number): Map<string, number> {
    return this.#ring.scopesAfter(sequence)
  }

  /** The encoder sees a resource only when it is too late to wait for it. */
  whenReady(): Promise<void> | undefined {
    return this.#ring.whenReady()
  }
}

/** The name of the scope of a span of any SDK. */
export function scopeNameOf({ instrumentationScope, instrumentationLibrary }: ReadableSpan): string {
  return String((instrumentationScope ?? instrumentationLibrary)?.name)
}

/**
 * About what a span costs while it waits as an object: its fixed parts as seen in heap snapshots, and its strings. It
 * bounds memory; it is not the encoded size.
 */
export function approximateBytes(span: ReadableSpan): number {
  let bytes = 400
  try {
    bytes += span.name.length + (span.status.message?.length ?? 0) + attributeBytes(span.attributes)
    for (const event of span.events) bytes += 100 + event.name.length + attributeBytes(event.attributes)
    for (const link of span.links) bytes += 150 + attributeBytes(link.attributes)
  } catch {
    // A hand-made span with a missing field or a getter that throws: the exporter's affair, not the queue's.
  }
  return bytes
}

function attributeBytes(attributes: Attributes | undefined): number {
  let bytes = 0
  for (const key in attributes) bytes += 16 + key.length + valueBytes(attributes[key])
  return bytes
}

function valueBytes(value: unknown, depth = 0): number {
  if (typeof value === 'string') return 16 + value.length
  if (typeof value !== 'object' || value === null || depth === MAX_ESTIMATED_DEPTH) return 8
  if (value instanceof Uint8Array) return value.byteLength
  let bytes = 16
  if (Array.isArray(value)) for (const element of value) bytes += valueBytes(element, depth + 1)
  else for (const key in value) bytes += 16 + key.length + valueBytes((value as Attributes)[key], depth + 1)
  return bytes
}
