/** User code may end so many spans while another is taken in: code that ends one for each would never be done. */
const MAX_LATE_SPANS = 10_000

/** What ends while another span is taken in, by user code that this runs: it is taken in after that one. */
export class LateSpans<Late> {
  readonly #late: Late[] = []
  #isTaking = false

  /** False if too many have ended. */
  add(late: Late): boolean {
    return this.#late.length < MAX_LATE_SPANS && this.#late.push(late) > 0
  }

  /** Takes them in, and those that end meanwhile. */
  takeAll(take: (late: Late) => void): void {
    if (this.#isTaking || !this.#late.length) return
    this.#isTaking = true
    let taken = 0
    try {
      while (taken < this.#late.length) take(this.#late[taken++] as Late)
    } finally {
      this.#late.splice(0, taken)
      this.#isTaking = false
    }
  }
}
