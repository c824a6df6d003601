/** Spans that end while nobody is there to flush them: between two invocations of a function. */
import type { Backlog } from './backlog.ts'
import type { Reporter } from './report.ts'

/** Told of invocations by the wrapper of the function's handler; without one it says nothing. */
export class Invocations {
  readonly #backlog: Pick<Backlog<unknown>, 'newestSequence' | 'scopesAfter'>
  readonly #reporter: Reporter
  #running = 0
  /** The newest span when the last flush of the last running invocation had settled; undefined while one is running. */
  #endedAt: number | undefined
  #late: ReadonlyMap<string, number> = new Map()

  constructor(backlog: Pick<Backlog<unknown>, 'newestSequence' | 'scopesAfter'>, reporter: Reporter) {
    this.#backlog = backlog
    this.#reporter = reporter
  }

  started(): void {
    this.#running++
    if (this.#endedAt === undefined) return
    try {
      this.#late = this.#backlog.scopesAfter(this.#endedAt)
    } catch {
      // A span that waits as an object may have a getter that throws. Nothing of it is lost by that.
    }
    this.#endedAt = undefined
  }

  ended(): void {
    this.#running = Math.max(0, this.#running - 1)
    // What ends while another invocation is running is flushed by that one.
    if (this.#running === 0) this.#endedAt = this.#backlog.newestSequence
  }

  /** A flush begins: it has to carry what the one before could not. */
  flushing(): void {
    if (this.#late.size === 0) return
    this.#reporter.endedLate(this.#late)
    this.#late = new Map()
  }
}
