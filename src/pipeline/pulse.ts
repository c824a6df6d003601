/** Signs of life of something whose timers may never fire again. */
import { monotonicNow, NO_TIMER, startTimer } from './deadline.ts'

/** How often a sign of life is due, in milliseconds. */
export const BEAT_MILLIS = 1000

/** A beat that comes this much too late, in milliseconds, was not late: the process stood still. */
export const FREEZE_MILLIS = 1000

/** Looks at something silent before it is given up, and the time between the first and the last of them. */
const LOOKS_BEFORE_DEATH = 3
const DEATH_MILLIS = 5000

/**
 * The turns of the event loop: whatever was due when a turn began has had its chance when it is over. Whoever looks sees
 * one through, with a timer of his own: if he dies meanwhile, it is as if he had not looked.
 */
export class Turns {
  /** When the last turn had begun that was seen through. */
  seenSince = -Infinity
  #begunAt = -Infinity
  #timer = NO_TIMER

  begin(now: number): void {
    if (now === this.#begunAt) return
    this.#begunAt = now
    try {
      this.#timer = startTimer(() => {
        this.seenSince = Math.max(this.seenSince, now)
      }, 0)
    } catch {
      // A Worker outside a request has no timers, and no event loop that turns meanwhile.
    }
  }

  /** Nobody needs to know any more: no timer is left. */
  stop(): void {
    this.#timer.cancel()
    this.#begunAt = -Infinity
  }
}

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
  #lookedAt = -Infinity
  #turns: Turns | undefined

  beat(): void {
    this.#turns?.stop()
    this.#turns = undefined
    this.#beatAt = monotonicNow()
    this.#silentLooks = 0
    this.#lookedAt = -Infinity
  }

  /**
   * @param now - On the clock of who looks, which may differ from that of who beats.
   * @param turns - The turns that he and others have seen. A look in the same turn as the one before is none.
   */
  looksDead(now: number, turns: Turns): boolean {
    if (now - this.#beatAt < BEAT_MILLIS + FREEZE_MILLIS) return false
    this.#turns = turns
    turns.begin(now)
    if (turns.seenSince < this.#lookedAt) return false
    this.#lookedAt = now
    if (this.#silentLooks++ === 0) this.#silentSince = now
    return this.#silentLooks >= LOOKS_BEFORE_DEATH && now - this.#silentSince >= DEATH_MILLIS
  }
}
