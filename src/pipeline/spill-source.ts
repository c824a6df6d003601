/** The backlog as a spiller sees it: batches are taken from it, and put back, as a lease would. */
import type { SpillBatch, SpillSource } from '../spill.ts'
import type { Backlog } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import { circuitOpen } from './breaker.ts'
import type { LeaseOptions } from './lease.ts'
import type { Batch } from './queue.ts'

/** @param loop - Hears of spans that are settled because they were kept, and of those that wait again. */
export function spillSource<Payload>(
  backlog: Backlog<Payload>,
  { ledger, pace, metrics, reporter }: LeaseBooks,
  { maxExportBatchSize, maxExportBatchBytes }: LeaseOptions,
  loop: () => { spansDropped(): void; wakeSoon(): void },
): SpillSource<Payload> {
  const asBatch = (batch: SpillBatch<Payload>) => batch as Batch<Payload>
  return {
    get firstSequence() {
      return backlog.firstWaiting
    },
    take() {
      const parked = backlog.parkedCount
      const batch = backlog.take(maxExportBatchSize, maxExportBatchBytes)
      if (batch === undefined) return undefined
      // It is processed, and no exporter has it.
      metrics?.exportStarted(batch.count, backlog.parkedCount === parked)
      metrics?.exportPutBack(batch.count)
      return batch
    },
    putBack(batch) {
      backlog.putBack(asBatch(batch))
      loop().wakeSoon()
    },
    kept(batch) {
      ledger.batchSpooled(batch, reporter.lastError ?? (pace.isOpen ? circuitOpen() : undefined))
      asBatch(batch).release()
      loop().spansDropped()
    },
  }
}
