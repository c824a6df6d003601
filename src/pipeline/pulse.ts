/** Signs of life of something whose timers may never fire again. */
import { monotonicNow } from './deadline.ts'

/** How often a sign of life is due, in milliseconds. */
export const BEAT_MILLIS = 1000

/** A beat that comes this much too late, in milliseconds, was not late: the process stood still. */
export const FREEZE_MILLIS = 1000

/** Looks at something silent before it is given up, and the time between the first and the last of them. */
const LOOKS_BEFORE_DEATH = 3
const DEATH_MILLIS = 5000

/**
 * Whether the runtime that something belongs to has died, as a Worker's request does: timers that never fire any more
 * cannot end it. A process that stood still is silent, too, until its timers have had their chance: so this is believed
 * only after several looks, the first and the last of them `DEATH_MILLIS` apart.
 */
export class Pulse {
  #beatAt = monotonicNow()
  #silentSince = 0
  #silentLooks = 0

  beat(): void {
    this.#beatAt = monotonicNow()
    this.#silentLooks = 0
  }

  /** @param now - On the clock of who looks, which may differ from that of who beats. */
  looksDead(now: number): boolean {
    if (now - this.#beatAt < BEAT_MILLIS + FREEZE_MILLIS) return false
    if (this.#silentLooks++ === 0) this.#silentSince = now
    return this.#silentLooks >= LOOKS_BEFORE_DEATH && now - this.#silentSince >= DEATH_MILLIS
  }
}
