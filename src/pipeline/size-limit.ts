/** After so many delivered batches the backend is asked again whether it takes larger ones. */
const BATCHES_BEFORE_LARGER = 64

/** How large a new batch may be, learned from what the backend found too large. */
export class SizeLimit {
  #maxBytes = Infinity
  #deliveredBatches = 0

  /** Half of what was too large, until many batches of that size have been taken. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  tooLarge(bytes: number): void {
    this.#maxBytes = Math.min(this.#maxBytes, Math.ceil(bytes / 2))
    this.#deliveredBatches = 0
  }

  delivered(): void {
    if (this.#maxBytes < Infinity && ++this.#deliveredBatches % BATCHES_BEFORE_LARGER === 0)
      this.#maxBytes *= 2
  }
}
