/**
 * The queues behind `dropPolicy: 'oldest-trace'`, encoded or of objects. Spans wait in a `TraceOrder`; a batch passes
 * through an ordinary queue as it is taken, which cuts and frames it like any other.
 *
 *     offer ──► TraceOrder ── take ──► exit (arena or ring) ──► batch
 *                   └── drop: by trace
 */

import type { SpanEncoder } from '../types.ts'
import {
  type EncodedBatch,
  FLAG_ERROR,
  FLAG_LOCAL_ROOT,
  type ReadableSpan,
  type RecordSink,
} from '../types.ts'
import { Arena } from './arena.ts'
import { PendingResources } from './pending-resources.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from './queue.ts'
import { approximateBytes, scopeNameOf } from './ring.ts'
import { TraceOrder, type Waiting } from './trace-order.ts'

abstract class TraceQueue<Payload, Item> implements SpanQueue<Payload> {
  protected readonly admission: Admission
  protected readonly order = new TraceOrder<Item>()
  /** Empty, but for what a page that was hidden left in it. */
  protected abstract readonly exit: SpanQueue<Payload>
  /** For `exit`, which takes spans in under the numbers that they have. */
  protected readonly readmission: Admission
  #sequence = REFUSED

  constructor(admission: Admission) {
    this.admission = admission
    this.readmission = {
      admit: () => this.#sequence,
      encodingFailed: (sequence, cause) => admission.encodingFailed(sequence, cause),
    }
  }

  get count(): number {
    return this.order.count + this.exit.count
  }

  get bytes(): number {
    return this.order.bytes + this.exit.bytes
  }

  get leavingBytes(): number {
    return this.exit.leavingBytes
  }

  get firstSequence(): number {
    return Math.min(this.exit.firstSequence, this.order.first?.sequence ?? Infinity)
  }

  abstract offer(span: ReadableSpan): void

  dropOldest(): number {
    return this.order.count > 0 ? this.order.drop() : this.exit.dropOldest()
  }

  take(maxCount: number, maxBytes: number): Batch<Payload> | undefined {
    if (this.exit.count === 0) this.letOut(maxCount, maxBytes)
    return this.exit.take(maxCount, maxBytes)
  }

  countThrough(sequence: number): number {
    let counted = this.exit.countThrough(sequence)
    for (const span of this.order) {
      if (span.sequence > sequence) break
      counted++
    }
    return counted
  }

  scopesAfter(sequence: number): Map<string, number> {
    const scopes = this.exit.scopesAfter(sequence)
    for (const span of this.order) {
      if (span.sequence <= sequence) continue
      const name = this.scopeName(span.item)
      scopes.set(name, (scopes.get(name) ?? 0) + 1)
    }
    return scopes
  }

  abstract whenReady(): Promise<void> | undefined

  protected letOut(maxCount: number, maxBytes: number): void {
    let bytes = 0
    for (let count = 0; count < maxCount; count++) {
      const { first } = this.order
      if (first === undefined || (count > 0 && bytes + first.size > maxBytes)) return
      bytes += first.size
      this.order.take()
      this.#sequence = first.sequence
      this.readmit(first)
    }
  }

  protected abstract readmit(span: Waiting<Item>): void
  protected abstract scopeName(item: Item): string
}

interface EncodedSpan {
  readonly bytes: Uint8Array
  readonly group: number
  readonly flags: number
}

/** Encoded spans by trace. */
export class TraceArena extends TraceQueue<EncodedBatch, EncodedSpan> implements RecordSink {
  protected readonly exit: Arena
  readonly #encoder: SpanEncoder

  constructor(encoder: SpanEncoder, admission: Admission) {
    super(admission)
    this.#encoder = encoder
    // The arena counts spans that are being encoded, and has unused groups forgotten.
    const through: SpanEncoder = {
      encode: (span) => encoder.encode(span, this),
      frame: (records, allocate) => encoder.frame(records, allocate),
      whenResourcesSettle: () => encoder.whenResourcesSettle(),
      get groupCount() {
        return encoder.groupCount
      },
      scopeName: (group) => encoder.scopeName(group),
      retainGroups: (live) => {
        const all = new Set(live)
        for (const { item } of this.order) all.add(item.group)
        encoder.retainGroups(all)
      },
    }
    this.exit = new Arena(through, this.readmission)
  }

  offer(span: ReadableSpan): void {
    this.exit.offer(span)
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
    const sequence = this.admission.admit(length)
    if (sequence === REFUSED) return
    const item = { bytes: source.slice(start, end), group, flags }
    this.order.add(sequence, length, traceHash, flags, item)
  }

  /** Whatever is left over waits on in the arena, oldest first: it is about to be sent, or the page is gone. */
  takeFirst(maxCount: number, maxBytes: number): Batch<EncodedBatch> | undefined {
    this.letOut(Infinity, Infinity)
    return this.exit.takeFirst(maxCount, maxBytes)
  }

  whenReady(): Promise<void> | undefined {
    return this.exit.whenReady()
  }

  protected readmit({ item: { bytes, group, flags } }: Waiting<EncodedSpan>): void {
    this.exit.append(bytes, 0, bytes.length, group, flags)
  }

  protected scopeName({ group }: EncodedSpan): string {
    return this.#encoder.scopeName(group)
  }
}

/** Span objects by trace. */
export class TraceRing<Payload> extends TraceQueue<Payload, ReadableSpan> {
  protected readonly exit: SpanQueue<Payload>
  readonly #resources = new PendingResources()

  /** @param createExit - Makes the queue that spans leave through. */
  constructor(admission: Admission, createExit: (admission: Admission) => SpanQueue<Payload>) {
    super(admission)
    this.exit = createExit(this.readmission)
  }

  offer(span: ReadableSpan): void {
    const size = approximateBytes(span)
    const { traceId } = span.spanContext()
    const flags = (isLocalRoot(span) ? FLAG_LOCAL_ROOT : 0) | (span.status?.code === 2 ? FLAG_ERROR : 0)
    const sequence = this.admission.admit(size)
    if (sequence === REFUSED) return
    this.#resources.add(span.resource)
    this.order.add(sequence, size, Number.parseInt(String(traceId).slice(-8), 16), flags, span)
  }

  whenReady(): Promise<void> | undefined {
    return this.#resources.whenSettled()
  }

  protected readmit({ item }: Waiting<ReadableSpan>): void {
    this.exit.offer(item)
  }

  protected scopeName(span: ReadableSpan): string {
    return scopeNameOf(span)
  }
}

/** Whether a span has no parent, or one in another process. */
export function isLocalRoot({ parentSpanContext, parentSpanId }: ReadableSpan): boolean {
  return parentSpanContext === undefined ? !parentSpanId : parentSpanContext.isRemote === true
}
