/**
 * What the drain loop sees of the spans that wait: a queue of whatever the exporter takes, cut into batches. Two
 * queues fit: the arena of encoded spans for our own exporters, the ring of span objects for everybody else's.
 */
import type { ReadableSpan } from '../types.ts'

/** Spans taken from a queue to travel together. Their sequences ascend; `Payload` is what the exporter sends. */
export interface Batch<Payload> {
  readonly count: number
  /** What the batch costs against `maxQueueBytes` when it is put back. */
  readonly bytes: number
  /** Sequence of the oldest span; `Infinity` when none is left. */
  readonly firstSequence: number
  readonly payload: Payload
  /** Attempts that were made at it before it was handed back: see `Lease.handBack`. */
  attempts: number
  /** How many of its spans have this sequence or an older one. */
  countThrough(sequence: number): number
  /** Gives up the oldest span. */
  dropOldest(): void
  /** Cuts the batch in the middle; only for two spans or more. The batch itself is not used afterwards. */
  split(): [Batch<Payload>, Batch<Payload>]
  /** The batch is settled: nobody will ask for its payload again. */
  release(): void
}

/** Spans that wait, oldest first. */
export interface SpanQueue<Payload> {
  readonly count: number
  readonly bytes: number
  /** Bytes of the batch that is being taken: no longer waiting, and not yet anybody else's. */
  readonly leavingBytes: number
  /**
   * Sequence of the oldest span; `Infinity` when the queue is empty. A batch that is being taken still belongs to the
   * queue as far as this and `countThrough` go: encoding and framing may run user code, which may look.
   */
  readonly firstSequence: number
  /**
   * Adds a span, if `Admission` lets it in.
   * @throws What encoding the span throws; the queue is then unchanged.
   */
  offer(span: ReadableSpan): void
  /** Gives up the oldest span. Returns its sequence; `Infinity` when there was none. */
  dropOldest(): number
  /** Removes the oldest spans, at least one, as one batch. `undefined` when none could be encoded, or none waits. */
  take(maxCount: number, maxBytes: number): Batch<Payload> | undefined
  /**
   * Removes the most important spans that fit, as one batch; the others keep their order. `undefined` when none fits.
   * Only where spans wait encoded.
   * @param maxBytes - Bound on the payload.
   */
  takeFirst?(maxCount: number, maxBytes: number): Batch<Payload> | undefined
  /** How many spans with this sequence or an older one wait, found by walking. */
  countThrough(sequence: number): number
  /** Counts the waiting spans that are newer than this sequence by the name of their scope. */
  scopesAfter(sequence: number): Map<string, number>
  /** Settles when the queue can be taken from: a resource may still be waiting for its attributes. */
  whenReady(): Promise<void> | undefined
}

/** Asked by a queue before it takes a span in. */
export interface Admission {
  /** The span's sequence, or `REFUSED`. Makes room first where the drop policy says so. Runs no user code. */
  admit(bytes: number): number
  /** A span that had been admitted turned out to be impossible to encode. */
  encodingFailed(sequence: number, cause: unknown): void
}

/** `Admission.admit` turned the span away. */
export const REFUSED = -1
