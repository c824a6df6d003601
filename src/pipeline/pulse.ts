/** Signs of life of something whose timers may never fire again. */
import { monotonicNow, NO_TIMER, startTimer } from './deadline.ts'

/** How often a sign of life is due, in milliseconds. */
export const BEAT_MILLIS = 1000

/** A beat that comes this much too late, in milliseconds, was not late: the process stood still. */
export const FREEZE_MILLIS = 1000

/** Looks at something silent before it is given up, and the time between the first and the last of them. */
const LOOKS_BEFORE_DEATH = 3
const DEATH_MILLIS = 5000

/** Nobody keeps the event loop from turning for longer, as far as telling the dead from the busy goes, in milliseconds. */
const MAX_BUSY_MILLIS = 60_000

/**
 * Whether the runtime that something belongs to has died, as a Worker's request does: timers that never fire any more
 * cannot end it. A process that stood still, or was busy, is silent, too, until its timers have had their chance: so this
 * is believed only after several looks, in different turns of the event loop, the first and the last of them
 * `DEATH_MILLIS` apart.
 */
export class Pulse {
  #beatAt = monotonicNow()
  #silentSince = 0
  #silentLooks = 0
  /** When the last silent look was, until the event loop has turned since. */
  #lookedAt = -Infinity
  #turn = NO_TIMER

  beat(): void {
    this.#beatAt = monotonicNow()
    this.#silentLooks = 0
    this.#turn.cancel()
    this.#turned()
  }

  /** @param now - On the clock of who looks, which may differ from that of who beats. */
  looksDead(now: number): boolean {
    if (now - this.#beatAt < BEAT_MILLIS + FREEZE_MILLIS || now - this.#lookedAt < MAX_BUSY_MILLIS)
      return false
    this.#lookedAt = now
    // Whoever looks may die before the turn is over, too: that keeps others from looking for a while only.
    try {
      this.#turn = startTimer(() => this.#turned(), 0)
    } catch {
      // A Worker outside a request has no timers, and no event loop that turns meanwhile.
    }
    if (this.#silentLooks++ === 0) this.#silentSince = now
    return this.#silentLooks >= LOOKS_BEFORE_DEATH && now - this.#silentSince >= DEATH_MILLIS
  }

  #turned(): void {
    this.#lookedAt = -Infinity
  }
}
