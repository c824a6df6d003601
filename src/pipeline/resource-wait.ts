import { monotonicNow } from './deadline.ts'
import type { Wait } from './wait.ts'

/** Exports go on without the missing attributes when a resource took this long to settle, in milliseconds. */
const PATIENCE_MILLIS = 5000

/** How the drain loop waits for resources to settle: so long all together, and then never again. */
export class ResourceWait {
  readonly #wait: Wait
  readonly #leastMillis: (now: number) => number
  #millis = 0

  /** @param leastMillis - How long the least patient caller waits, in milliseconds. */
  constructor(wait: Wait, leastMillis: (now: number) => number) {
    this.#wait = wait
    this.#leastMillis = leastMillis
  }

  get isOver(): boolean {
    return this.#millis >= PATIENCE_MILLIS
  }

  /** A caller that comes meanwhile interrupts it: its patience may be shorter. */
  async until(settling: Promise<void>): Promise<'over' | 'settled' | 'interrupted'> {
    const startedAt = monotonicNow()
    const patienceMillis = Math.min(PATIENCE_MILLIS - this.#millis, this.#leastMillis(startedAt) / 2)
    const end = await this.#wait.until(patienceMillis, settling)
    this.#millis += end === 'over' ? patienceMillis : monotonicNow() - startedAt
    return end
  }
}
