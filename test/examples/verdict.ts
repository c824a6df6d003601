/** Whether every span that ended arrived, once. */
import type { PipelineStats } from 'tailrace'

/** What three witnesses say: the service's own list, the receiver, and the ledger. */
export interface Evidence {
  readonly endedSpanIds: readonly string[]
  readonly receivedSpanIds: readonly string[]
  readonly ledger: PipelineStats
}

/** What is wrong, a sentence each; nothing if every span that ended arrived, once, and the ledger says the same. */
export function findFaults({ endedSpanIds, receivedSpanIds, ledger }: Evidence): string[] {
  const faults: string[] = []
  function check(spanIds: string[], fault: string): void {
    if (spanIds.length > 0) faults.push(`${spanIds.length} ${fault}: ${abbreviated(spanIds)}`)
  }

  const ended = new Set(endedSpanIds)
  const received = new Set(receivedSpanIds)
  const timesReceived = new Map<string, number>()
  for (const spanId of receivedSpanIds) timesReceived.set(spanId, (timesReceived.get(spanId) ?? 0) + 1)
  check(
    [...ended].filter((spanId) => !received.has(spanId)),
    'spans ended and never arrived',
  )
  check(
    [...received].filter((spanId) => timesReceived.get(spanId) !== 1),
    'spans arrived more than once',
  )
  check(
    [...received].filter((spanId) => !ended.has(spanId)),
    'spans arrived that had not ended',
  )
  if (endedSpanIds.length === 0) faults.push('no span ended, so nothing was shown')

  const { exported } = ledger
  for (const [name, count] of Object.entries({ ended: ledger.ended, exported })) {
    if (count !== endedSpanIds.length) {
      faults.push(`the ledger has ${count} spans ${name}, where ${endedSpanIds.length} have ended`)
    }
  }
  const { rejected, failed, pending, openSpans } = ledger
  for (const [name, count] of Object.entries({ rejected, failed, ...ledger.dropped, pending, openSpans })) {
    if (count !== 0) faults.push(`the ledger has ${name} = ${count}`)
  }
  return faults
}

function abbreviated(spanIds: string[]): string {
  return spanIds.length > 3 ? `${spanIds.slice(0, 3).join(', ')}, …` : spanIds.join(', ')
}
