/**
 * Watches over every processor that the tests make through it: after each test the ledger balances, before and after
 * a shutdown, and nothing was rejected without being handled.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, expect, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { BatchSpanProcessor } from '../../src/processor.ts'
import type { PipelineStats, SpanExporter } from '../../src/types.ts'

const watched = new Set<BatchSpanProcessor>()
const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

/** Makes a processor that is checked after the test. */
export function watchedProcessor(
  exporter: SpanExporter,
  options?: BatchSpanProcessorOptions,
): BatchSpanProcessor {
  const processor = new BatchSpanProcessor(exporter, options)
  watched.add(processor)
  return processor
}

/** Everything that was dropped, whatever the reason. */
export function droppedIn({ dropped }: Pick<PipelineStats, 'dropped'>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

/** Asserts that every span which ended is accounted for, now. Returns the books. */
export function expectBalance(processor: Pick<BatchSpanProcessor, 'stats'>): PipelineStats {
  const stats = processor.stats()
  const { ended, exported, rejected, failed, pending, spooled = 0 } = stats
  expect(exported + rejected + failed + droppedIn(stats) + pending + spooled).toBe(ended)
  for (const count of [
    ended,
    exported,
    rejected,
    failed,
    pending,
    spooled,
    stats.inFlight,
    stats.openSpans,
  ]) {
    expect(count).toSatisfy(Number.isInteger)
    expect(count).toBeGreaterThanOrEqual(0)
  }
  expect(Object.keys(stats.dropped).sort()).toEqual([
    'already_shutdown',
    'encode_error',
    'queue_bytes_full',
    'queue_full',
    'retry_exhausted',
    'shutdown_timeout',
    'span_too_large',
  ])
  expect(stats.inFlight).toBeLessThanOrEqual(pending)
  expect(stats.pendingBytes === 0).toBe(pending === 0)
  return stats
}

afterEach(async () => {
  vi.useRealTimers()
  const processors = [...watched]
  watched.clear()
  for (const processor of processors) {
    expectBalance(processor)
    await processor.shutdown({ timeoutMillis: 0 })
    expect(expectBalance(processor)).toMatchObject({ pending: 0, pendingBytes: 0, inFlight: 0 })
  }
  await turn()
  await turn()
  expect(unhandled.splice(0)).toEqual([])
})
