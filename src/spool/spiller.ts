/** Brings the batches of one processor to the spool, one at a time. */
import { monotonicNow } from '../pipeline/deadline.ts'
import { suppressTracing } from '../pipeline/suppress.ts'
import type { SpillBatch, Spiller, SpillSource } from '../spill.ts'
import type { EncodedBatch } from '../types.ts'

/** Where batches are kept. No method throws, no promise rejects; false means that the batch is not there. */
export interface BatchStore {
  /** False for a while after a write has failed. */
  readonly isWritable: boolean
  write(body: Uint8Array, spanCount: number): Promise<boolean>
  writeSync(body: Uint8Array, spanCount: number): boolean
}

/**
 *     backlog ─► take ─┬─► writing (in the background, one) ─┬─► kept: spooled
 *        ▲             └─► written at once ──────────────────┤
 *        └───────────────── put back ◄───────────────────────┘  not kept: the disk is full
 */
export class BatchSpiller implements Spiller {
  readonly #source: SpillSource<EncodedBatch>
  readonly #store: BatchStore
  #writing: SpillBatch<EncodedBatch> | undefined
  #written: Promise<void> | undefined
  /** Everything up to this sequence is to be kept. */
  #target = -1

  constructor(source: SpillSource<EncodedBatch>, store: BatchStore) {
    this.#source = source
    this.#store = store
  }

  get isPossible(): boolean {
    return this.#store.isWritable
  }

  get bytes(): number {
    return this.#writing?.bytes ?? 0
  }

  get firstSequence(): number {
    return this.#writing?.firstSequence ?? Infinity
  }

  countThrough(sequence: number): number {
    return this.#writing?.countThrough(sequence) ?? 0
  }

  through(sequence: number): void {
    this.#target = Math.max(this.#target, sequence)
    if (this.#writing === undefined && this.#source.firstSequence <= this.#target) this.#begin()
  }

  async next(): Promise<void> {
    if (this.#writing !== undefined || this.#begin()) await this.#written
  }

  relieve(isFull: () => boolean): void {
    while (isFull() && this.isPossible) {
      const isMoving = this.#writing === undefined ? this.#begin() : this.#writeNow()
      if (!isMoving) return
    }
  }

  allSync(endsAt: number): void {
    const writing = this.#writing
    if (writing !== undefined) {
      // Nobody will hear how that ends, so it may be there twice.
      this.#writing = undefined
      this.#settle(writing, this.#writeSync(writing))
    }
    // There is no later to wait for, even if a write has just failed.
    while (monotonicNow() < endsAt && this.#writeNow());
  }

  /** Takes the oldest batch and starts to write it. False when there is none. */
  #begin(): boolean {
    const batch = suppressTracing(() => this.#source.take())
    if (batch === undefined) return false
    this.#writing = batch
    const { payload } = batch
    // Its memory is not used again meanwhile, even if the batch is settled otherwise.
    payload.readers = (payload.readers ?? 0) + 1
    this.#written = suppressTracing(() => this.#store.write(payload.body, payload.spanCount)).then(
      (isKept) => {
        payload.readers = (payload.readers ?? 1) - 1
        if (this.#writing !== batch) return
        this.#writing = undefined
        this.#settle(batch, isKept)
        if (isKept) this.through(this.#target)
      },
    )
    return true
  }

  #writeNow(): boolean {
    const batch = suppressTracing(() => this.#source.take())
    if (batch === undefined) return false
    const isKept = this.#writeSync(batch)
    this.#settle(batch, isKept)
    return isKept
  }

  #writeSync({ payload }: SpillBatch<EncodedBatch>): boolean {
    return suppressTracing(() => this.#store.writeSync(payload.body, payload.spanCount))
  }

  #settle(batch: SpillBatch<EncodedBatch>, isKept: boolean): void {
    if (isKept) this.#source.kept(batch)
    else this.#source.putBack(batch)
  }
}
