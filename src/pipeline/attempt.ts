/** One attempt at a batch, under its deadline and its lease. */
import { ExportError, type Outcome, type Sender } from '../types.ts'
import { monotonicNow, NO_TIMER, startTimer, type Timer } from './deadline.ts'
import type { Batch } from './queue.ts'
import { describe } from './report.ts'
import { suppressTracing } from './suppress.ts'

/** A sender that does not settle after its attempt was aborted loses its lease this much later, in milliseconds. */
export const LEASE_GRACE_MILLIS = 5000

/** A timer that fires this much too late, in milliseconds, was not late: the process stood still. */
const FREEZE_MILLIS = 1000

/** What came of an attempt. */
export interface AttemptResult {
  readonly outcome: Outcome
  /** The process stood still meanwhile (a frozen sandbox, SIGSTOP): a failure says nothing about the backend. */
  readonly wasFrozen: boolean
}

/** Sends once. Never rejects. `controller` ends the attempt early, and is aborted when its time is up. */
export function makeAttempt<Payload>(
  sender: Sender<Payload>,
  batch: Batch<Payload>,
  timeoutMillis: number,
  controller: AbortController,
): Promise<AttemptResult> {
  return new Promise((resolve) => {
    let timer: Timer = NO_TIMER
    let settled = false
    let wasFrozen = false

    function settle(outcome: Outcome): void {
      if (settled) return
      settled = true
      timer.cancel()
      resolve({ outcome, wasFrozen })
    }

    function fail(cause: unknown): void {
      settle({
        kind: 'final',
        error: new ExportError('exporter_failed', `the exporter threw: ${describe(cause)}`, { cause }),
      })
    }

    function giveUp(): void {
      const error = new ExportError('timeout', `no answer within ${Math.round(timeoutMillis)} ms`)
      timer = startTimer(() => settle({ kind: 'retryable', error }), LEASE_GRACE_MILLIS)
      controller.abort(error)
    }

    function armTimeout(): void {
      const dueAt = monotonicNow() + timeoutMillis
      timer = startTimer(() => {
        const isLate = monotonicNow() - dueAt > FREEZE_MILLIS
        // After a freeze the answer may be waiting in the socket: the attempt gets its time again, once.
        if (isLate && !wasFrozen) {
          wasFrozen = true
          armTimeout()
        } else {
          giveUp()
        }
      }, timeoutMillis)
    }

    armTimeout()
    try {
      const sending = suppressTracing(() =>
        sender.send(batch.payload, { signal: controller.signal, timeoutMillis }),
      )
      Promise.resolve(sending).then(settle, fail)
    } catch (cause) {
      fail(cause)
    }
  })
}
