/** One attempt at a batch, under its deadline and its lease. */
import { ExportError, type Outcome, type Sender } from '../types.ts'
import { monotonicNow, startTimer, type Timer } from './deadline.ts'
import type { Batch } from './queue.ts'
import { describe } from './report.ts'
import { suppressTracing } from './suppress.ts'

/** A sender that does not settle after its attempt was aborted loses its lease this much later, in milliseconds. */
export const LEASE_GRACE_MILLIS = 5000

/** How often the clock is looked at during an attempt, in milliseconds. */
const TICK_MILLIS = 1000

/** A tick that comes this much too late, in milliseconds, was not late: the process stood still. */
const FREEZE_MILLIS = 1000

/** A timer that fires this much too late, in milliseconds, lets I/O that is due go first. */
const LATE_MILLIS = 20

/** What came of an attempt. */
export interface AttemptResult {
  readonly outcome: Outcome
  /** The process stood still meanwhile (a frozen sandbox, SIGSTOP): a failure says nothing about the backend. */
  readonly wasFrozen: boolean
}

/** Looks at an attempt whose clock has stopped before it is given up. */
const LOOKS_BEFORE_DEATH = 3

/** An attempt on its way. */
export class OpenAttempt {
  readonly controller = new AbortController()
  /** Nobody waits for the answer any more: the sender hears so, and no timer is left. */
  end: () => void = () => this.controller.abort()
  #tickedAt = monotonicNow()
  #silentSince = 0
  #silentLooks = 0

  /** The attempt's clock is running. */
  ticked(): void {
    this.#tickedAt = monotonicNow()
    this.#silentLooks = 0
  }

  /**
   * Whether the runtime that the attempt belongs to has died, as a Worker's request does: timers that never fire any
   * more cannot end it. A process that stood still is silent, too, until its timers have had their chance: so this is
   * believed only after several looks, the first and the last of them `LEASE_GRACE_MILLIS` apart.
   */
  looksDead(now: number): boolean {
    if (now - this.#tickedAt < TICK_MILLIS + FREEZE_MILLIS) return false
    if (this.#silentLooks++ === 0) this.#silentSince = now
    return this.#silentLooks >= LOOKS_BEFORE_DEATH && now - this.#silentSince >= LEASE_GRACE_MILLIS
  }
}

/** Sends once. Never rejects. The attempt is aborted when its time is up. */
export function makeAttempt<Payload>(
  sender: Sender<Payload>,
  batch: Batch<Payload>,
  timeoutMillis: number,
  attempt: OpenAttempt,
): Promise<AttemptResult> {
  return new Promise((resolve) => {
    let deadline = monotonicNow() + timeoutMillis
    let nextTickAt = deadline
    let timer: Timer
    let isSettled = false
    let wasFrozen = false
    let hasYielded = false

    function settle(outcome: Outcome): void {
      if (isSettled) return
      isSettled = true
      timer.cancel()
      lookAtClock()
      resolve({ outcome, wasFrozen })
    }

    function fail(cause: unknown): void {
      const error = new ExportError('exporter_failed', `the exporter threw: ${describe(cause)}`, { cause })
      settle({ kind: 'final', error })
    }

    /** A freeze does not count against the attempt: whoever froze the process froze its chance to answer, too. */
    function lookAtClock(): void {
      const lateMillis = monotonicNow() - nextTickAt
      if (lateMillis <= FREEZE_MILLIS) return
      wasFrozen = true
      deadline = Math.max(deadline + lateMillis, monotonicNow() + Math.min(TICK_MILLIS, timeoutMillis))
    }

    function scheduleTick(): void {
      const now = monotonicNow()
      const waitMillis = Math.min(TICK_MILLIS, deadline - now)
      nextTickAt = now + waitMillis
      timer = startTimer(tick, waitMillis)
    }

    function tick(): void {
      attempt.ticked()
      lookAtClock()
      // Timers may fire a fraction of a millisecond early.
      if (deadline - monotonicNow() >= 1) {
        scheduleTick()
        return
      }
      // The event loop was busy: the answer may be waiting in the socket, and is read before this fires.
      if (monotonicNow() - deadline > LATE_MILLIS && !hasYielded) {
        hasYielded = true
        timer = startTimer(tick, 0)
        return
      }
      const error = new ExportError('timeout', `no answer within ${Math.round(timeoutMillis)} ms`)
      nextTickAt = Infinity
      timer = startTimer(() => settle({ kind: 'retryable', error }), LEASE_GRACE_MILLIS)
      controller.abort(error)
    }

    const { controller } = attempt
    const { signal } = controller
    attempt.end = () => {
      const error = new ExportError('aborted', 'nobody waits for the answer any more')
      settle({ kind: 'retryable', error })
      controller.abort(error)
    }
    scheduleTick()
    try {
      const sending = suppressTracing(() => sender.send(batch.payload, { signal, timeoutMillis }))
      Promise.resolve(sending).then(settle, fail)
    } catch (cause) {
      fail(cause)
    }
  })
}
