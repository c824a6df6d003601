/** Exports go on without the missing attributes when a resource took this long to settle, in milliseconds. */
const PATIENCE_MILLIS = 5000

/** How long requests wait for the resources to settle: so long all together, and then never again. */
export class ResourcePatience {
  #endsAt = Infinity

  leftMillis(now: number): number {
    return Math.min(PATIENCE_MILLIS, this.#endsAt - now)
  }

  /** Somebody waits. */
  begin(now: number): void {
    this.#endsAt = Math.min(this.#endsAt, now + PATIENCE_MILLIS)
  }
}
