import { describe, expect, it, vi } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  fakeExporter,
  gatedExporter,
  hangingExporter,
  retryable,
} from '../helpers/exporters.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { answers, startCollector } from '../helpers/misbehaving-collector.ts'
import { end, endSpans, names, tracerFor } from '../helpers/processors.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

describe.each(EXPORTER_KINDS)('a shutdown with %s', (_name, kind) => {
  it('sends what waits, then shuts the exporter down', async () => {
    const shutdown = vi.fn(async () => expect(exporter.running).toBe(0))
    const exporter = deliveringExporter(kind, { shutdown })
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(5))
    await processor.shutdown()
    expect(exporter.names).toEqual(names(5))
    expect(shutdown).toHaveBeenCalledTimes(1)
    expect(processor.stats()).toMatchObject({ exported: 5, pending: 0 })
  })

  it("B6: the exporter's shutdown hangs: ours settles at the deadline", async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind, { shutdown: () => new Promise(() => {}) })
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const shutDown = processor.shutdown({ timeoutMillis: 700 })
    await vi.advanceTimersByTimeAsync(699)
    expect(await hasSettled(shutDown)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await shutDown
    expect(exporter.shutdowns).toBe(1)
    expect(processor.stats()).toMatchObject({ exported: 1 })
  })

  it("B10: the exporter's shutdown throws or rejects: ours resolves", async () => {
    for (const shutdown of [
      () => Promise.reject(new Error('no')),
      () => {
        throw new Error('no')
      },
    ]) {
      const processor = watchedProcessor(deliveringExporter(kind, { shutdown }))
      end(processor, 'a')
      await expect(processor.shutdown()).resolves.toBeUndefined()
      expect(processor.stats()).toMatchObject({ exported: 1 })
    }
  })

  it('B11: a flush after shutdown resolves at once', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind, { forceFlush: async () => {} })
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await processor.shutdown()
    const { flushes } = exporter
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 0, pending: 0 })
    await processor.forceFlush()
    expect(exporter.flushes).toBe(flushes)
  })

  it('B11: a flush after shutdown that is told to wait for open spans resolves at once, too', async () => {
    vi.useFakeTimers()
    const processor = watchedProcessor(deliveringExporter(kind))
    tracerFor(processor).startSpan('never ends')
    await processor.shutdown()
    const flushed = processor.flush({ openSpans: 'wait' })
    expect(await hasSettled(flushed)).toBe(true)
    expect(await flushed).toMatchObject({ status: 'success', openSpans: 1 })
  })

  it('B11: spans that end after shutdown are counted already_shutdown', async () => {
    const drops: unknown[] = []
    const processor = watchedProcessor(deliveringExporter(kind), { onDrop: (drop) => drops.push(drop) })
    const tracer = tracerFor(processor)
    endSpans(tracer, 1)
    await processor.shutdown()
    endSpans(tracer, 3)
    await microtasks()
    expect(processor.stats()).toMatchObject({ ended: 4, exported: 1, dropped: { already_shutdown: 3 } })
    expect(drops).toEqual([{ reason: 'already_shutdown', count: 3 }])
  })

  it('B11: spans still held at the deadline are counted shutdown_timeout, and nothing is sent afterwards', async () => {
    vi.useFakeTimers()
    const exporter = hangingExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(5))
    const shutDown = processor.shutdown({ timeoutMillis: 300 })
    const flushed = processor.flush({ timeoutMillis: 5_000 })
    await vi.advanceTimersByTimeAsync(299)
    expect(await hasSettled(shutDown)).toBe(false)
    expectBalance(processor)
    await vi.advanceTimersByTimeAsync(1)
    await shutDown
    expect(processor.stats()).toMatchObject({ dropped: { shutdown_timeout: 5 }, pending: 0 })
    expect(await flushed).toMatchObject({ status: 'failure', dropped: 5, pending: 0 })
    expect(exporter.shutdowns).toBe(1)
    await vi.advanceTimersByTimeAsync(120_000)
    expect(exporter.batches).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B11: an export that is answered after the shutdown deadline changes nothing', async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await processor.shutdown({ timeoutMillis: 0 })
    expect(processor.stats()).toMatchObject({ dropped: { shutdown_timeout: 1 } })
    exporter.batches[0]!.release()
    await microtasks()
    expect(processor.stats()).toMatchObject({ exported: 0, dropped: { shutdown_timeout: 1 }, pending: 0 })
  })

  it('B11: a second shutdown joins the same work under its own deadline', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a', 'b')
    const long = processor.shutdown({ timeoutMillis: 1_000 })
    const short = processor.shutdown({ timeoutMillis: 100 })
    await settledBy(short, 100)
    expect(processor.stats()).toMatchObject({ pending: 2 })
    expect(exporter.shutdowns).toBe(0)
    exporter.batches[0]!.release()
    await long
    expect(exporter.shutdowns).toBe(1)
    expect(processor.stats()).toMatchObject({ exported: 2 })
  })

  it('B11: a second shutdown may be the longer one', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const short = processor.shutdown({ timeoutMillis: 100 })
    const long = processor.shutdown({ timeoutMillis: 1_000 })
    await settledBy(short, 100)
    exporter.batches[0]!.release()
    await long
    expect(processor.stats()).toMatchObject({ exported: 1 })
  })

  it('B11: without options the deadline is shutdownTimeoutMillis', async () => {
    vi.useFakeTimers()
    const processor = watchedProcessor(hangingExporter(kind), { shutdownTimeoutMillis: 400 })
    end(processor, 'a')
    const shutDown = processor.shutdown()
    await vi.advanceTimersByTimeAsync(399)
    expect(await hasSettled(shutDown)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await shutDown
  })

  it('a flush that runs when shutdown is called settles with it', async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const flushed = processor.flush()
    const shutDown = processor.shutdown()
    await exporter.whenBatches(1)
    exporter.batches[0]!.release()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
    await shutDown
    expect(exporter.batches).toHaveLength(1)
  })
})

describe('a shutdown while the backend is failing', () => {
  it('B7: during a backoff it tries at once, settles within its deadline, and sends nothing afterwards', async () => {
    vi.useFakeTimers()
    const exporter = fakeExporter('encoded', () => retryable())
    const processor = watchedProcessor(exporter)
    end(processor, ...names(3))
    await settledBy(processor.flush({ timeoutMillis: 100 }), 100)
    expect(exporter.batches).toHaveLength(1)
    const shutDown = processor.shutdown({ timeoutMillis: 500 })
    await vi.advanceTimersByTimeAsync(500)
    expect(await hasSettled(shutDown)).toBe(true)
    const sent = exporter.batches.length
    expect(sent).toBeGreaterThanOrEqual(2)
    expect(processor.stats()).toMatchObject({ dropped: { shutdown_timeout: 3 }, pending: 0 })
    await vi.advanceTimersByTimeAsync(600_000)
    expect(exporter.batches).toHaveLength(sent)
    expect(exporter.shutdowns).toBe(1)
  })

  it('B7: the same over HTTP', async () => {
    const collector = await startCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }))
    endSpans(tracerFor(processor), 3)
    const flushed = processor.flush({ timeoutMillis: 10 })
    await collector.whenRequests(1)
    await flushed
    const startedAt = performance.now()
    await processor.shutdown({ timeoutMillis: 500 })
    expect(performance.now() - startedAt).toBeLessThan(550)
    expect(processor.stats()).toMatchObject({ dropped: { shutdown_timeout: 3 } })
    const { length } = collector.requests
    await collector.stop()
    expect(collector.requests).toHaveLength(length)
  })

  it('B38: with an open breaker shutdown tries once', async () => {
    vi.useFakeTimers()
    const exporter = fakeExporter('encoded', () => retryable())
    const processor = watchedProcessor(exporter, { circuitBreaker: { failureThreshold: 1 } })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({
      status: 'failure',
      pending: 1,
      error: { code: 'circuit_open' },
    })
    const sent = exporter.batches.length
    await settledBy(processor.shutdown({ timeoutMillis: 500 }), 500)
    expect(exporter.batches).toHaveLength(sent + 1)
  })
})

describe('the options of shutdown', () => {
  it('B9: a signal ends the wait of its caller, not the shutdown', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0 })
    end(processor, 'a')
    const controller = new AbortController()
    const stopped = processor.shutdown({ timeoutMillis: 60_000, signal: controller.signal })
    controller.abort()
    await stopped
    expect(processor.stats()).toMatchObject({ pending: 1 })
    exporter.batches[0]!.release()
    await processor.shutdown()
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
    expect(exporter.shutdowns).toBe(1)
  })

  it('B13: openSpans wait lets open spans end and be delivered first', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0 })
    const span = tracerFor(processor).startSpan('open')
    const stopped = processor.shutdown({ timeoutMillis: 60_000, openSpans: 'wait' })
    await microtasks()
    span.end()
    await stopped
    expect(exporter.names).toEqual(['open'])
  })

  it('B9: a flush that its signal ended says so', async () => {
    const processor = watchedProcessor(gatedExporter('encoded'), { scheduledDelayMillis: 0 })
    end(processor, 'a')
    const controller = new AbortController()
    const flushed = processor.flush({ timeoutMillis: 60_000, signal: controller.signal })
    controller.abort()
    expect(await flushed).toMatchObject({ status: 'timeout', pending: 1, error: { code: 'aborted' } })
  })
})
