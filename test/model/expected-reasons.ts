/** Whether there is a reason to send: a full batch, somebody who asked, a span that has waited for long enough. */
import type { ExpectedPlaces } from './expected-places.ts'
import type { Settings } from './settings.ts'

export class ExpectedReasons {
  readonly #places: ExpectedPlaces
  readonly #scheduledDelayMillis: number
  /** Everything up to this span is to be sent without waiting for a full batch. */
  #dueThrough = -1
  /** Since when spans wait and nothing is going on. */
  #idleSince: number | undefined
  /** The same, and nothing held up the attempts any more: a schedule that began later would be late. */
  #restedSince: number | undefined

  constructor(places: ExpectedPlaces, settings: Settings) {
    this.#places = places
    this.#scheduledDelayMillis = settings.scheduledDelayMillis || Infinity
  }

  /** Everything that has ended by now is to be sent. */
  hurry(): void {
    this.#dueThrough = this.#places.newestId
  }

  attemptStarted(): void {
    this.#idleSince = this.#restedSince = undefined
  }

  /** Time has come this far; what is due now fires afterwards. */
  timePassed(now: number): void {
    if (now >= (this.#restedSince ?? Infinity) + this.#scheduledDelayMillis) this.hurry()
  }

  /** Nothing is left to run until time goes on. */
  rest(
    now: number,
    { isAttempting, isHeldUp, turnsUntil }: { isAttempting: boolean; isHeldUp: boolean; turnsUntil: number },
  ): void {
    const isIdle = !isAttempting && !this.mustSend && this.#places.waitingCount > 0
    this.#idleSince = isIdle ? (this.#idleSince ?? now) : undefined
    this.#restedSince = isIdle && !isHeldUp ? (this.#restedSince ?? Math.max(now, turnsUntil)) : undefined
  }

  get mustSend(): boolean {
    const { held, parked, isFull, fresh } = this.#places
    if (held !== undefined || parked.length > 0) return true
    return isFull || (fresh[0]?.id ?? Infinity) <= this.#dueThrough
  }

  /** Whether an attempt may start now. The schedule may have begun at any time between the two that are known. */
  maySend(now: number): boolean {
    if (this.mustSend) return true
    const scheduledAt = (this.#idleSince ?? Infinity) + this.#scheduledDelayMillis
    return this.#places.waitingCount > 0 && now >= scheduledAt
  }

  /** An attempt starts now. If it was the schedule: that is for everything that waits, in as many batches as it takes. */
  sending(now: number): void {
    if (!this.mustSend && this.maySend(now)) this.hurry()
  }
}
