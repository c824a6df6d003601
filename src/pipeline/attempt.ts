/** One attempt at a batch, under its deadline and its lease. */
import { ExportError, type Outcome, type Sender } from '../types.ts'
import { monotonicNow, startTimer, type Timer } from './deadline.ts'
import { BEAT_MILLIS, FREEZE_MILLIS, Pulse } from './pulse.ts'
import type { Batch } from './queue.ts'
import { describe } from './report.ts'
import { suppressTracing } from './suppress.ts'

/** A sender that does not settle after its attempt was aborted loses its lease this much later, in milliseconds. */
export const LEASE_GRACE_MILLIS = 5000

/** A timer that fires this much too late, in milliseconds, lets I/O that is due go first. */
const LATE_MILLIS = 20

/** What came of an attempt. */
export interface AttemptResult {
  readonly outcome: Outcome
  /** The process stood still meanwhile (a frozen sandbox, SIGSTOP): a failure says nothing about the backend. */
  readonly wasFrozen: boolean
}

/** An attempt on its way. */
export class OpenAttempt {
  readonly startedAt = monotonicNow()
  readonly controller = new AbortController()
  /** Beats while the attempt's clock is running. */
  readonly pulse: Pulse
  /** Nobody waits for the answer any more: the sender hears so, and no timer is left. */
  end: () => void = () => this.controller.abort()

  constructor(pulse = new Pulse()) {
    this.pulse = pulse
  }
}

/** Sends once. Never rejects. The attempt is aborted when its time is up. */
export function makeAttempt<Payload>(
  sender: Pick<Sender<Payload>, 'send'>,
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
      attempt.pulse.beat()
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
      deadline = Math.max(deadline + lateMillis, monotonicNow() + Math.min(BEAT_MILLIS, timeoutMillis))
    }

    function scheduleTick(): void {
      const now = monotonicNow()
      const waitMillis = Math.min(BEAT_MILLIS, deadline - now)
      nextTickAt = now + waitMillis
      timer = startTimer(tick, waitMillis)
    }

    function tick(): void {
      attempt.pulse.beat()
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

    function end(): void {
      const error = new ExportError('aborted', 'nobody waits for the answer any more')
      settle({ kind: 'retryable', error })
      controller.abort(error)
    }

    const { controller } = attempt
    const { signal } = controller
    // Declared, not written here: V8 takes a function that is assigned as it is written for one that stays, and with it the
    // batch would stay until the next full collection.
    attempt.end = end
    scheduleTick()
    try {
      const sending = suppressTracing(() => sender.send(batch.payload, { signal, timeoutMillis }))
      Promise.resolve(sending).then(settle, fail)
    } catch (cause) {
      fail(cause)
    }
  })
}
