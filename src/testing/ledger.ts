/** Assertions on the ledger. They throw an `AssertionError` that says what is wrong, and need no test runner. */
import type { PipelineStats } from '../types.ts'
import type { InMemoryCollector } from './collector.ts'

/** A processor, or what its `stats()` answered. */
export type Ledger = PipelineStats | { stats(): PipelineStats }

/**
 * Asserts that every span which ended is accounted for: `ended = exported + rejected + failed + dropped + pending`,
 * and `spooled`, where there is a spool.
 *
 * @returns The ledger.
 * @throws Error, named AssertionError, that says what does not balance.
 *
 * @example
 * ```ts
 * import { expectBalanced } from 'tailrace/testing'
 *
 * expectBalanced(processor) // after each test, say
 * ```
 */
export function expectBalanced(ledger: Ledger): PipelineStats {
  const stats = read(ledger)
  const { ended, exported, rejected, failed, dropped, pending, pendingBytes, inFlight, spooled = 0 } = stats
  const counts = { ended, exported, rejected, failed, pending, pendingBytes, inFlight, spooled, ...dropped }
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isInteger(count) || count < 0) fail(`${name} is no count: ${count}`, stats)
  }
  const sum = exported + rejected + failed + droppedIn(stats) + pending + spooled
  if (sum !== ended) {
    const difference = Math.abs(ended - sum)
    const what = sum < ended ? 'unaccounted for' : 'accounted for more than once'
    fail(`the ledger does not balance: ${difference} of ${ended} spans ${what}`, stats)
  }
  if (inFlight > pending) fail(`${inFlight} spans are in flight, and only ${pending} pending`, stats)
  return stats
}

/**
 * Asserts that every span which ended has been exported, and, given a collector, that the collector has each of them.
 *
 * @returns The ledger.
 * @throws Error, named AssertionError, that says which spans are elsewhere.
 *
 * @example
 * ```ts
 * import { expectDelivered, InMemoryCollector } from 'tailrace/testing'
 *
 * const collector = new InMemoryCollector()
 * // … a processor with new OTLPTraceExporter({ fetch: collector.fetch }) …
 * await processor.forceFlush()
 * expectDelivered(processor, collector)
 * ```
 */
export function expectDelivered(ledger: Ledger, collector?: Pick<InMemoryCollector, 'spans'>): PipelineStats {
  const stats = expectBalanced(ledger)
  const { ended, exported } = stats
  if (exported !== ended) fail(`${ended - exported} of ${ended} spans were not exported`, stats)
  if (collector === undefined) return stats
  const received = new Set(collector.spans.map(({ traceId, spanId }) => traceId + spanId)).size
  if (received !== ended) {
    fail(`${ended} spans were exported, and the collector has ${received} different ones`, stats)
  }
  return stats
}

function read(ledger: Ledger): PipelineStats {
  return 'stats' in ledger ? ledger.stats() : ledger
}

function droppedIn({ dropped }: PipelineStats): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

function fail(message: string, stats: PipelineStats): never {
  const { ended, exported, rejected, failed, dropped, pending, inFlight, spooled } = stats
  const reasons = Object.entries(dropped)
    .filter(([, count]) => count !== 0)
    .map(([reason, count]) => `${reason} ${count}`)
  const why = reasons.length > 0 ? ` (${reasons.join(', ')})` : ''
  const error = new Error(
    `${message}. ended ${ended}; exported ${exported}, rejected ${rejected}, failed ${failed}, ` +
      `dropped ${droppedIn(stats)}${why}, pending ${pending}, of these in flight ${inFlight}` +
      (spooled === undefined ? '' : `, spooled ${spooled}`),
  )
  error.name = 'AssertionError'
  throw error
}
