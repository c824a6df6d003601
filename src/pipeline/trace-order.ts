/**
 * Spans in the order in which they ended, and in the order in which they give way with `dropPolicy: 'oldest-trace'`. A
 * trace of which a span is missing is of little use, so whole traces go, the oldest first:
 *
 *     order   ◄─ oldest                                                       newest ─►
 *              a₁ ── b₁ ── a₂ ── c₁! ── b₂ ── a₃! ── d₁ ── e₁ ── d₂ ── e₂        ! root or error
 *
 *     broken   c: (nothing plain)      a span of it was dropped: its others give way first, and those that are yet to end
 *     fresh    d: d₁ d₂   e: e₁ e₂     nothing of it was sent: the oldest one is broken next
 *     sent     a: a₁ a₂ a₃   b: b₁ b₂  a part has been sent: broken when there is no fresh one
 *     kept     c₁                      roots and errors of broken traces: up to an eighth of what waits
 *
 * Every span is linked into `order` and into the line of its trace or into `kept`, so that each step takes the same time
 * however many wait; a trace is broken once, which visits its spans once.
 */
import { FLAG_ERROR, FLAG_LOCAL_ROOT } from '../types.ts'

/** Roots and errors of broken traces may be one in so many of the spans that wait. */
const KEPT_SHARE = 8
/** Traces whose fate is remembered after their last span has left, at least; twice as many at most. */
const REMEMBERED_TRACES = 4096

/** A place in a ring. The ring's own place, its anchor, holds nothing. */
class Link<Item> {
  readonly item: Item | undefined
  next: Link<Item> = this
  #previous: Link<Item> = this

  constructor(item?: Item) {
    this.item = item
  }

  /** What comes first in the ring of this anchor. */
  get first(): Item | undefined {
    return this.next.item
  }

  get isAlone(): boolean {
    return this.next === this
  }

  /** Puts a link that is alone at the end of the ring of this anchor. */
  push(link: Link<Item>): void {
    link.next = this
    link.#previous = this.#previous
    this.#previous.next = link
    this.#previous = link
  }

  leave(): void {
    this.#previous.next = this.next
    this.next.#previous = this.#previous
    this.next = this.#previous = this
  }
}

class Trace<Item> {
  readonly hash: number
  /** Those of its spans that are not kept. */
  readonly spans = new Link<Waiting<Item>>()
  /** Among the broken, fresh or sent ones, if it has spans that are not kept. */
  readonly inLine: Link<Trace<Item>> = new Link(this)
  /** How many of its spans wait, kept ones included. */
  count = 0
  isBroken: boolean
  isSent: boolean

  /** @param fate - What became of earlier spans: dropped (true), sent (false), or nothing yet. */
  constructor(hash: number, fate: boolean | undefined) {
    this.hash = hash
    this.isBroken = fate === true
    this.isSent = fate === false
  }
}

/** A span that waits. */
export class Waiting<Item> {
  readonly sequence: number
  readonly size: number
  readonly item: Item
  readonly isImportant: boolean
  readonly trace: Trace<Item>
  readonly inOrder: Link<Waiting<Item>> = new Link(this)
  readonly inLine: Link<Waiting<Item>> = new Link(this)
  isKept = false

  constructor(sequence: number, size: number, item: Item, isImportant: boolean, trace: Trace<Item>) {
    this.sequence = sequence
    this.size = size
    this.item = item
    this.isImportant = isImportant
    this.trace = trace
  }
}

/** The spans that wait. `Item` is whatever there is to keep of a span. */
export class TraceOrder<Item> {
  readonly #order = new Link<Waiting<Item>>()
  readonly #kept = new Link<Waiting<Item>>()
  readonly #broken = new Link<Trace<Item>>()
  readonly #fresh = new Link<Trace<Item>>()
  readonly #sent = new Link<Trace<Item>>()
  readonly #traces = new Map<number, Trace<Item>>()
  /** Whether a trace of which nothing waits is broken (true), or a part of it has been sent (false). */
  #fates = new Map<number, boolean>()
  #olderFates = new Map<number, boolean>()
  #keptCount = 0
  count = 0
  bytes = 0

  get first(): Waiting<Item> | undefined {
    return this.#order.first
  }

  /** Adds a span; sequences ascend. */
  add(sequence: number, size: number, traceHash: number, flags: number, item: Item): void {
    const trace = this.#traces.get(traceHash) ?? this.#open(traceHash)
    const isImportant = (flags & (FLAG_LOCAL_ROOT | FLAG_ERROR)) !== 0
    const span = new Waiting(sequence, size, item, isImportant, trace)
    this.#order.push(span.inOrder)
    this.count++
    this.bytes += size
    trace.count++
    if (trace.isBroken && isImportant) this.#keep(span)
    else this.#lineUp(trace, span)
  }

  /** Takes out the oldest span, to be sent. */
  take(): Waiting<Item> | undefined {
    const { first } = this
    if (first === undefined) return undefined
    const { trace } = first
    if (!trace.isSent && !trace.isBroken) {
      trace.inLine.leave()
      this.#sent.push(trace.inLine)
    }
    trace.isSent = true
    this.#remove(first)
    return first
  }

  /** Gives up the span that is missed least. Returns its sequence; `Infinity` when there was none. */
  drop(): number {
    for (;;) {
      const span = this.#broken.first?.spans.first ?? this.#excessive()
      const trace = this.#fresh.first ?? this.#sent.first
      const dropped = span ?? (trace === undefined ? this.#kept.first : undefined)
      if (dropped !== undefined) {
        this.#remove(dropped)
        return dropped.sequence
      }
      if (trace === undefined) return Infinity
      this.#break(trace)
    }
  }

  /** Visits the spans, oldest first. */
  *[Symbol.iterator](): Generator<Waiting<Item>> {
    for (let link = this.#order.next; link.item !== undefined; link = link.next) yield link.item
  }

  #excessive(): Waiting<Item> | undefined {
    return this.#keptCount * KEPT_SHARE > this.count ? this.#kept.first : undefined
  }

  #open(hash: number): Trace<Item> {
    const trace = new Trace<Item>(hash, this.#fates.get(hash) ?? this.#olderFates.get(hash))
    this.#traces.set(hash, trace)
    return trace
  }

  #lineUp(trace: Trace<Item>, span: Waiting<Item>): void {
    trace.spans.push(span.inLine)
    if (!trace.inLine.isAlone) return
    const line = trace.isBroken ? this.#broken : trace.isSent ? this.#sent : this.#fresh
    line.push(trace.inLine)
  }

  #keep(span: Waiting<Item>): void {
    span.isKept = true
    this.#keptCount++
    this.#kept.push(span.inLine)
  }

  /** Its roots and errors are kept; the others are the next to go. */
  #break(trace: Trace<Item>): void {
    trace.isBroken = true
    trace.inLine.leave()
    let left = trace.count
    while (left-- > 0) {
      const span = trace.spans.first as Waiting<Item>
      span.inLine.leave()
      if (span.isImportant) this.#keep(span)
      else trace.spans.push(span.inLine)
    }
    if (!trace.spans.isAlone) this.#broken.push(trace.inLine)
  }

  #remove(span: Waiting<Item>): void {
    const { trace } = span
    span.inOrder.leave()
    span.inLine.leave()
    if (span.isKept) this.#keptCount--
    this.count--
    this.bytes -= span.size
    if (trace.spans.isAlone) trace.inLine.leave()
    if (--trace.count > 0) return
    this.#traces.delete(trace.hash)
    if (this.#fates.size === REMEMBERED_TRACES) {
      this.#olderFates = this.#fates
      this.#fates = new Map()
    }
    this.#fates.set(trace.hash, trace.isBroken)
  }
}
