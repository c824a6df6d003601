/** Where each span is: waiting, in the one batch that is out, or settled. */
import type { DropReason, PipelineStats } from '../../src/types.ts'
import { ExpectedTraces, type TracedSpan } from './expected-traces.ts'
import type { Settings } from './settings.ts'

/** What the model knows of a span. Ids ascend in the order in which spans ended. */
export interface ModelSpan extends TracedSpan {
  /** What it counts for against `maxQueueBytes` while it waits for the first time, and from then on. */
  readonly costs: { readonly fresh: number; readonly taken: number }
  readonly isPoison: boolean
}

/** Spans that travel together, from the time when they were taken. */
export interface Piece {
  readonly spans: ModelSpan[]
  /** Attempts that counted in this round. */
  attempts: number
  roundStartedAt: number | undefined
  /** The last attempt was followed by one at once. */
  hadFreeRetry: boolean
}

/** What became of a span. */
export type Fate = 'exported' | 'rejected' | 'failed' | DropReason

/** Hears of every settled span that had been taken in. `rejected` is a number because nobody knows which. */
export interface FateListener {
  settled(spans: readonly ModelSpan[], fate: Exclude<Fate, 'rejected'>, rejected: number): void
}

export class ExpectedPlaces {
  readonly counts = { ended: 0, exported: 0, rejected: 0, failed: 0 }
  readonly dropped: Record<DropReason, number> = {
    queue_full: 0,
    queue_bytes_full: 0,
    span_too_large: 0,
    encode_error: 0,
    retry_exhausted: 0,
    already_shutdown: 0,
    shutdown_timeout: 0,
  }
  /** Batches that wait again, oldest first; all of them older than `fresh`. */
  parked: Piece[] = []
  fresh: ModelSpan[] = []
  /** The batch that is out, and what was cut off it. */
  held: Piece | undefined
  rest: Piece[] = []
  newestId = -1
  /** What the collector is known to take, in bytes: half of what it found too large. */
  #largestTaken = Infinity
  #batchesTaken = 0
  readonly #traces = new ExpectedTraces<ModelSpan>()
  readonly #settings: Settings
  readonly #listener: FateListener

  constructor(settings: Settings, listener: FateListener) {
    this.#settings = settings
    this.#listener = listener
  }

  get waiting(): ModelSpan[] {
    return [...this.parked.flatMap((piece) => piece.spans), ...this.fresh]
  }

  get waitingCount(): number {
    return this.parked.reduce((count, piece) => count + piece.spans.length, this.fresh.length)
  }

  get waitingBytes(): number {
    let bytes = 0
    for (const piece of this.parked) bytes += bytesOf(piece)
    for (const span of this.fresh) bytes += span.costs.fresh
    return bytes
  }

  get out(): Piece[] {
    return this.held === undefined ? [] : [this.held, ...this.rest]
  }

  get outCount(): number {
    return this.out.reduce((count, piece) => count + piece.spans.length, 0)
  }

  get pending(): number {
    return this.outCount + this.waitingCount
  }

  get pendingBytes(): number {
    return this.out.reduce((bytes, piece) => bytes + bytesOf(piece), this.waitingBytes)
  }

  get isFull(): boolean {
    const { maxExportBatchSize, maxExportBatchBytes } = this.#settings
    return this.waitingCount >= maxExportBatchSize || this.waitingBytes >= maxExportBatchBytes
  }

  pendingThrough(id: number): number {
    let count = 0
    for (const piece of [...this.out, ...this.parked]) count += countThrough(piece.spans, id)
    return count + countThrough(this.fresh, id)
  }

  /** A span ends and is taken in, or is not. */
  arrive(span: ModelSpan): void {
    const { maxQueueSize, maxQueueBytes, dropPolicy } = this.#settings
    const cost = span.costs.fresh
    if (cost > maxQueueBytes) {
      this.refuse('span_too_large')
      return
    }
    if (dropPolicy === 'newest') {
      const lacksSlot = this.waitingCount >= maxQueueSize
      if (lacksSlot || this.waitingBytes + cost > maxQueueBytes) {
        this.refuse(lacksSlot ? 'queue_full' : 'queue_bytes_full')
        return
      }
    }
    this.#makeRoom(1, cost)
    this.counts.ended++
    this.newestId = span.id
    this.fresh.push(span)
    this.#traces.arrived(span)
  }

  /** A span is turned away as it ends. */
  refuse(reason: DropReason): void {
    this.counts.ended++
    this.dropped[reason]++
  }

  /**
   * The batch that is due next, taken out of the waiting spans. `undefined`: there is none that can be encoded.
   * @param except - Parked batches that are passed over.
   */
  take(except?: ReadonlySet<Piece>): Piece | undefined {
    const place = this.parked.findIndex((parked) => !except?.has(parked))
    if (place !== -1) {
      const [parked] = this.parked.splice(place, 1)
      startRound(parked)
      return parked
    }
    if (this.fresh.length === 0) return undefined
    const spans = this.fresh.splice(0, this.#countOfNext())
    this.#traces.taken(spans, this.fresh)
    const isEncodable = (span: ModelSpan) => this.#settings.exporter === 'stock' || !span.isPoison
    const poison = spans.filter((span) => !isEncodable(span))
    if (poison.length > 0) this.settle(poison, 'encode_error')
    return poison.length === spans.length ? undefined : newPiece(spans.filter(isEncodable))
  }

  /** The batch that is out waits again. */
  park(pieces: readonly Piece[]): void {
    for (const piece of pieces) {
      this.parked = [...this.parked, piece].sort((a, b) => a.spans[0].id - b.spans[0].id)
      this.#makeRoom(0, 0)
    }
  }

  putBack(): void {
    const pieces = this.out
    this.held = undefined
    this.rest = []
    this.park(pieces)
  }

  /** The batch that is out was too large: its halves follow one another. */
  halve(): void {
    const { spans } = this.held!
    this.#largestTaken = Math.min(this.#largestTaken, Math.ceil(bytesOf(this.held!) / 2))
    this.#batchesTaken = 0
    const middle = Math.floor(spans.length / 2)
    this.rest.unshift(newPiece(spans.slice(middle)))
    this.held = newPiece(spans.slice(0, middle))
  }

  /** The batch that is out, or the piece of it that is, is settled. */
  heldSettled(fate: Exclude<Fate, 'rejected'>, rejected = 0): void {
    const { spans } = this.held!
    if (fate === 'exported' && this.#largestTaken < Infinity && ++this.#batchesTaken === 64) {
      // Perhaps it takes more by now.
      this.#largestTaken *= 2
      this.#batchesTaken = 0
    }
    this.held = this.rest.shift()
    this.settle(spans, fate, rejected)
  }

  /** Everything is given up. */
  giveUp(): void {
    const spans = [...this.out.flatMap((piece) => piece.spans), ...this.waiting]
    this.held = undefined
    this.rest = []
    this.parked = []
    this.fresh = []
    if (spans.length > 0) this.settle(spans, 'shutdown_timeout')
  }

  settle(spans: readonly ModelSpan[], fate: Exclude<Fate, 'rejected'>, rejected = 0): void {
    if (fate === 'exported') {
      this.counts.exported += spans.length - rejected
      this.counts.rejected += rejected
    } else if (fate === 'failed') {
      this.counts.failed += spans.length
    } else {
      this.dropped[fate] += spans.length
    }
    this.#listener.settled(spans, fate, rejected)
  }

  #countOfNext(): number {
    const { maxExportBatchSize, maxExportBatchBytes } = this.#settings
    let bytes = 0
    let count = 0
    for (const span of this.fresh.slice(0, maxExportBatchSize)) {
      bytes += span.costs.fresh
      if (count > 0 && bytes > Math.min(maxExportBatchBytes, this.#largestTaken)) break
      count++
    }
    return count
  }

  #makeRoom(count: number, bytes: number): void {
    const { maxQueueSize, maxQueueBytes } = this.#settings
    while (this.waitingCount + count > maxQueueSize) this.#dropOldest('queue_full')
    while (this.waitingBytes + bytes > maxQueueBytes) this.#dropOldest('queue_bytes_full')
  }

  #dropOldest(reason: DropReason): void {
    if (this.#settings.dropPolicy === 'oldest-trace' && this.fresh.length > 0) {
      // What is parked belongs to traces of which a part has been taken.
      const victim = this.#traces.victim(this.fresh)
      this.fresh = this.fresh.filter((span) => span !== victim)
      this.settle([victim], reason)
      return
    }
    const spans = this.parked[0]?.spans ?? this.fresh
    const oldest = spans.shift()!
    if (spans !== this.fresh && spans.length === 0) this.parked.shift()
    this.settle([oldest], reason)
  }
}

function newPiece(spans: ModelSpan[]): Piece {
  return { spans, attempts: 0, roundStartedAt: undefined, hadFreeRetry: false }
}

/** A new round of attempts begins with the next one. */
function startRound(piece: Piece): void {
  piece.attempts = 0
  piece.roundStartedAt = undefined
  piece.hadFreeRetry = false
}

function bytesOf(piece: Piece): number {
  return piece.spans.reduce((bytes, span) => bytes + span.costs.taken, 0)
}

function countThrough(spans: readonly ModelSpan[], id: number): number {
  return spans.reduce((count, span) => (span.id <= id ? count + 1 : count), 0)
}

/** For messages. */
export function idsOf(piece: Piece | undefined): string {
  return piece === undefined ? 'nothing' : `[${piece.spans.map((span) => span.id)}]`
}

export function sameIds(ids: readonly number[], piece: Piece | undefined): boolean {
  if (piece?.spans.length !== ids.length) return false
  return piece.spans.every((span, i) => span.id === ids[i])
}

const BOOKS = [
  'ended',
  'exported',
  'rejected',
  'failed',
  'pending',
  'pendingBytes',
  'inFlight',
  'openSpans',
] as const

/** Holds what the processor says of itself against what the model knows. */
export function checkBooks(
  stats: PipelineStats,
  places: ExpectedPlaces,
  openSpans: number,
  { maxQueueSize, maxQueueBytes, maxExportBatchSize }: Settings,
  violate: (message: string) => void,
): void {
  const { pending, pendingBytes, outCount: inFlight } = places
  const expected = { ...places.counts, pending, pendingBytes, inFlight, openSpans }
  for (const key of BOOKS) {
    if (stats[key] !== expected[key]) violate(`stats().${key} is ${stats[key]}, not ${expected[key]}`)
  }
  let settled = stats.exported + stats.rejected + stats.failed
  for (const reason of Object.keys(places.dropped) as DropReason[]) {
    const count = stats.dropped[reason]
    settled += count
    if (count === places.dropped[reason]) continue
    violate(`${count} spans were dropped (${reason}), not ${places.dropped[reason]}`)
  }
  if (settled + stats.pending !== stats.ended) violate('the ledger does not balance')
  if (stats.pending - stats.inFlight > maxQueueSize) violate('more spans wait than maxQueueSize')
  if (stats.inFlight > maxExportBatchSize) violate('more spans are out than maxExportBatchSize')
  const bytesOut = places.out.reduce((bytes, piece) => bytes + bytesOf(piece), 0)
  if (stats.pendingBytes - bytesOut > maxQueueBytes) violate('more bytes wait than maxQueueBytes')
}
