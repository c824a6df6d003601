/** Gets out what waits while the event loop stands still: the process is about to be gone. */
import type { BlockingPost, BlockingSender, Spiller } from '../spill.ts'
import type { FlushResult, Outcome } from '../types.ts'
import { monotonicNow } from './deadline.ts'
import type { Lease } from './lease.ts'
import type { Tally } from './ledger.ts'
import { suppressTracing } from './suppress.ts'

/** How a caller waits without letting anybody else go on. */
export interface FlushSyncCall {
  /** Makes the requests; without it only a spool can help. */
  readonly post: BlockingPost | undefined
  readonly timeoutMillis: number
}

/** For the spool only: what it does not take is given up, so it may take its time. */
export const NO_TIME_LEFT: FlushSyncCall = { post: undefined, timeoutMillis: Infinity }

/** Writes everything to the spool, or sends batch after batch until time is up or the backend is found to be away. */
export function flushSync<Payload>(
  lease: Lease<Payload>,
  sender: BlockingSender<Payload, Outcome>,
  spiller: Spiller | undefined,
  { post, timeoutMillis }: FlushSyncCall,
): void {
  const endsAt = monotonicNow() + timeoutMillis
  if (spiller !== undefined) {
    lease.handBack()
    suppressTracing(() => spiller.allSync(endsAt))
  }
  if (post !== undefined) suppressTracing(() => sendAll(lease, sender, post, endsAt))
}

function sendAll<Payload>(
  lease: Lease<Payload>,
  sender: BlockingSender<Payload, Outcome>,
  post: BlockingPost,
  endsAt: number,
): void {
  for (;;) {
    const leftMillis = endsAt - monotonicNow()
    const batch = leftMillis > 0 ? lease.next() : undefined
    if (batch === undefined) break
    const attemptMillis = lease.attemptMillis(monotonicNow())
    const outcome = sender.sendSync?.(batch.payload, post, Math.min(leftMillis, attemptMillis))
    if (outcome === undefined) break
    lease.apply({ outcome, wasFrozen: false })
    if (outcome.kind === 'retryable') break
  }
  lease.handBack()
}

/** What came of it. */
export function resultOf(
  { exported, rejected, failed, dropped, spooled, error }: Tally,
  pending: number,
  durationMillis: number,
  timeoutMillis: number,
): Omit<FlushResult, 'openSpans'> {
  const rest = rejected + failed + dropped + spooled + pending
  const isTimeout = pending > 0 && durationMillis >= timeoutMillis
  return {
    status: rest === 0 ? 'success' : isTimeout ? 'timeout' : 'failure',
    exported,
    rejected,
    failed,
    dropped,
    pending,
    durationMillis,
    ...(spooled > 0 && { spooled }),
    ...(error !== undefined && { error }),
  }
}
