/**
 * What the pipeline and an exporter tell each other of spans that cannot be sent in time: batches that are kept elsewhere
 * (`tailrace/spool`), and requests that are made while everything else stands still, because the process is about to be
 * gone. Types and a symbol only, so that nobody loads what he does not use.
 */

import type { Attributes, Meter } from '@opentelemetry/api'

/** A batch as a spiller sees it. */
export interface SpillBatch<Payload> {
  readonly count: number
  readonly bytes: number
  readonly firstSequence: number
  readonly payload: Payload
  countThrough(sequence: number): number
}

/** What a spiller may do with the spans that wait. */
export interface SpillSource<Payload> {
  /** Sequence of the oldest span that waits; `Infinity` when none does. */
  readonly firstSequence: number
  /** Removes the oldest spans as one batch, which is the spiller's to keep or to put back. */
  take(): SpillBatch<Payload> | undefined
  putBack(batch: SpillBatch<Payload>): void
  /** The batch is where it survives the process: the ledger has it. */
  kept(batch: SpillBatch<Payload>): void
}

/** Keeps the batches of one processor. No method throws, no promise rejects. */
export interface Spiller {
  /** False while whatever keeps the batches does not. */
  readonly isPossible: boolean
  /** The batch that is being written: what it holds is pending. */
  readonly bytes: number
  readonly firstSequence: number
  countThrough(sequence: number): number
  /** Begins to keep everything up to a sequence. */
  through(sequence: number): void
  /** Keeps the oldest batch. */
  next(): Promise<void>
  /** Makes room, from within `span.end()`: one batch is written in the background, any more at once. */
  relieve(isFull: () => boolean): void
  /**
   * Keeps everything before it returns, until a write fails; one that failed before holds up nothing.
   * @param endsAt - On the monotonic clock: then no further batch is begun.
   */
  allSync(endsAt: number): void
}

/** The side of a sender that keeps what cannot be sent. */
export interface SpillingSender<Payload> {
  /** Opens the spiller of one processor. */
  readonly openSpiller?: ((source: SpillSource<Payload>) => Spiller) | undefined
  /**
   * Has metrics of its own recorded.
   * @param attributes - Of the exporter, as the SDK's own metrics have them.
   */
  measureWith?(meter: Meter, attributes: Attributes): void
}

/** What a ledger says of spans that were kept. */
export interface SpooledCount {
  /** Written to the spool, which delivers them later. Only with `tailrace/spool`. */
  spooled?: number
}

/** A request that somebody makes for a sender, who waits for it without letting anything else happen. */
export interface BlockingRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** PEM texts. */
  readonly tls: { readonly ca?: unknown; readonly cert?: unknown; readonly key?: unknown }
}

/** How that ended: with a response, or without. */
export type BlockingAnswer =
  | {
      readonly kind: 'response'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: Uint8Array
    }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failure'; readonly error: Error }

/** Makes one request, and returns when it is answered or time is up. Never throws. */
export type BlockingPost = (request: BlockingRequest, timeoutMillis: number) => BlockingAnswer

/** The side of a sender that can be used while the event loop stands still. */
export interface BlockingSender<Payload, Outcome> extends SpillingSender<Payload> {
  /** One attempt. `undefined` where that is impossible, such as with an agent of the user's. Never throws. */
  sendSync?(payload: Payload, post: BlockingPost, timeoutMillis: number): Outcome | undefined
}

/** The method of a processor of ours that gets out what waits without letting the event loop turn. */
export const FLUSH_SYNC = Symbol.for('tailrace.flushSync')
