/** What the stages of the pipeline are tested against, one by one. */
import { Backlog, type BacklogLimits } from '../../src/pipeline/backlog.ts'
import { Ledger } from '../../src/pipeline/ledger.ts'
import { type Admission, type Batch, REFUSED, type SpanQueue } from '../../src/pipeline/queue.ts'
import type { DropReason, EncodedBatch, ReadableSpan } from '../../src/types.ts'
import { namesIn } from './name-encoder.ts'

/** Numbers the spans and lets all of them in, unless told to refuse. */
export class OpenDoor implements Admission {
  refuses = false
  readonly admitted: number[] = []
  readonly encodingFailures: number[] = []

  admit(bytes: number): number {
    if (this.refuses) return REFUSED
    return this.admitted.push(bytes) - 1
  }

  encodingFailed(sequence: number): void {
    this.encodingFailures.push(sequence)
  }
}

/** The names of the spans in a batch, whether of objects or encoded by a `NameEncoder`. */
export function namesOfBatch({ payload }: Batch<EncodedBatch | ReadableSpan[]>): string[] {
  return 'body' in payload ? namesIn(payload.body) : payload.map((span) => span.name)
}

/** A backlog with its books, and the queue within it. */
export function openBacklog<Payload>(
  createQueue: (admission: Admission) => SpanQueue<Payload>,
  limits: Partial<BacklogLimits> = {},
) {
  const drops: { reason: DropReason; count: number }[] = []
  const failures: unknown[] = []
  const ledger = new Ledger((reason, count) => void drops.push({ reason, count }))
  let queue: SpanQueue<Payload> | undefined
  const backlog = new Backlog<Payload>(
    (admission) => {
      queue = createQueue(admission)
      return queue
    },
    { maxQueueSize: 1_000, maxQueueBytes: 1_000_000, dropPolicy: 'oldest', ...limits },
    ledger,
    (cause) => void failures.push(cause),
  )
  return { backlog, ledger, drops, failures, queue: queue as SpanQueue<Payload> }
}
