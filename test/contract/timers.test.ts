import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { runScript } from '../helpers/child-process.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  fakeExporter,
  gatedExporter,
  hangingExporter,
  retryable,
  scriptedExporter,
} from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers, startCollector } from '../helpers/misbehaving-collector.ts'
import { hangsAfterReading } from '../helpers/misbehaviours.ts'
import { end, endSpans, names, tracerFor } from '../helpers/processors.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

describe.each(EXPORTER_KINDS)('timers, with %s', (_name, kind) => {
  it('B23: with scheduledDelayMillis 0 no schedule timer is created; size, flush and shutdown still send', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0, maxExportBatchSize: 3 })
    end(processor, 'a')
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(exporter.names).toEqual([])
    end(processor, 'b', 'c', 'd')
    await microtasks()
    expect(exporter.names).toEqual(['a', 'b', 'c'])
    expect(vi.getTimerCount()).toBe(0)
    await processor.flush()
    expect(exporter.names).toEqual(['a', 'b', 'c', 'd'])
    expect(vi.getTimerCount()).toBe(0)
    end(processor, 'e')
    await processor.shutdown()
    expect(exporter.names).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B24: no timer while the queue is empty', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    expect(vi.getTimerCount()).toBe(0)
    await processor.flush()
    expect(vi.getTimerCount()).toBe(0)
    end(processor, 'a')
    expect(vi.getTimerCount()).toBe(1)
    const flushed = processor.flush()
    exporter.batches[0]!.release()
    await flushed
    expect(vi.getTimerCount()).toBe(0)
    end(processor, 'b', 'c')
    await microtasks()
    exporter.batches[1]!.release()
    await microtasks()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B24: no timer is left by a caller that gave up', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const controller = new AbortController()
    const flushes = [
      processor.flush({ signal: controller.signal }),
      processor.flush({ timeoutMillis: 0 }),
      processor.flush({ timeoutMillis: 100 }),
      processor.flush({ openSpans: 'wait' }),
    ]
    controller.abort()
    await vi.advanceTimersByTimeAsync(100)
    exporter.batches[0]!.release()
    await Promise.all(flushes)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B24: no timer is left after shutdown', async () => {
    vi.useFakeTimers()
    const exporter = hangingExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await settledBy(processor.shutdown({ timeoutMillis: 100 }), 100)
    // An aborted export has its lease to come back; the attempt's own time ends in any case.
    await vi.advanceTimersByTimeAsync(35_000)
    expect(vi.getTimerCount()).toBe(0)
    end(processor, 'b')
    await processor.flush()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B24: numeric timer handles, as in browsers and workerd, work', async () => {
    vi.useFakeTimers()
    const { setTimeout: start, clearTimeout: stop } = globalThis
    const handles = new Map<number, ReturnType<typeof setTimeout>>()
    const numericSetTimeout = (callback: () => void, millis: number) => {
      const handle = handles.size + 1
      handles.set(handle, start(callback, millis))
      return handle
    }
    vi.stubGlobal('setTimeout', numericSetTimeout)
    vi.stubGlobal('clearTimeout', (handle: number) => stop(handles.get(handle)))
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await vi.advanceTimersByTimeAsync(5_000)
    exporter.batches[0]!.release()
    await microtasks()
    end(processor, 'b')
    const flushed = processor.flush({ timeoutMillis: 100 })
    await vi.advanceTimersByTimeAsync(100)
    expect(await flushed).toMatchObject({ status: 'timeout', pending: 1 })
    exporter.batches[1]!.release()
    await processor.shutdown()
    expect(processor.stats()).toMatchObject({ exported: 2 })
    expect(vi.getTimerCount()).toBe(0)
    vi.unstubAllGlobals()
  })

  it('B10: where no timer can be started nothing rejects and nothing spins, and the spans are sent later', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    vi.stubGlobal('setTimeout', () => {
      throw new Error('not in the global scope')
    })
    end(processor, 'a', 'b')
    await microtasks()
    expect(exporter.batches).toEqual([])
    vi.unstubAllGlobals()
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 2 })
  })

  it('B25: 4,999 ms: not sent; 5,000 ms: sent', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await vi.advanceTimersByTimeAsync(2_500)
    end(processor, 'b')
    await vi.advanceTimersByTimeAsync(2_499)
    expect(exporter.batches).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a', 'b']])
  })

  it('B25: the delay is counted anew after each export', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1_000 })
    for (const name of names(3)) {
      end(processor, name)
      await vi.advanceTimersByTimeAsync(999)
      expect(exporter.names).not.toContain(name)
      await vi.advanceTimersByTimeAsync(1)
      expect(exporter.names).toContain(name)
    }
  })

  it('B25: with a clock that stands still a flush settles when its exporter answers', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind, { forceFlush: async () => {} })
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const flushed = processor.flush()
    exporter.batches[0]!.release()
    expect(await flushed).toMatchObject({ status: 'success', durationMillis: 0 })
    end(processor, 'b')
    const shutDown = processor.shutdown()
    exporter.batches[1]!.release()
    expect(await hasSettled(shutDown)).toBe(true)
  })

  it.each([
    ['an hour forward', 3_600_000],
    ['an hour back', -3_600_000],
  ])('B26: the wall clock jumps %s in the middle of an attempt: nothing changes', async (_what, millis) => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, { exportTimeoutMillis: 10_000 })
    end(processor, 'a')
    const flushed = processor.flush({ timeoutMillis: 1_000 })
    await vi.advanceTimersByTimeAsync(500)
    vi.setSystemTime(Date.now() + millis)
    expect(await hasSettled(flushed)).toBe(false)
    await vi.advanceTimersByTimeAsync(499)
    expect(await hasSettled(flushed)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await flushed).toMatchObject({ status: 'timeout', pending: 1, durationMillis: 1_000 })
    exporter.batches[0]!.release()
    await microtasks()
    end(processor, 'b')
    vi.setSystemTime(Date.now() - 2 * millis)
    await vi.advanceTimersByTimeAsync(4_999)
    expect(exporter.names).toEqual(['a'])
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.names).toEqual(['a', 'b'])
    expect(processor.stats()).toMatchObject({ exported: 1, failed: 0 })
  })
})

describe('timers and the retries of an encoded exporter', () => {
  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])(
    'B26: the wall clock jumps an hour %s during a backoff: the retry comes when it would have',
    async (_what, millis) => {
      vi.useFakeTimers()
      const exporter = scriptedExporter([retryable()])
      const processor = watchedProcessor(exporter, { retry: { jitter: 0 } })
      end(processor, 'a')
      await vi.advanceTimersByTimeAsync(5_000)
      expect(exporter.batches).toHaveLength(1)
      vi.setSystemTime(Date.now() + millis)
      await vi.advanceTimersByTimeAsync(999)
      expect(exporter.batches).toHaveLength(1)
      await vi.advanceTimersByTimeAsync(1)
      expect(exporter.batches).toHaveLength(2)
      expect(processor.stats()).toMatchObject({ exported: 1 })
    },
  )

  it('B33: the server names a time longer than the deadline: the flush stops now, its spans pending', async () => {
    vi.useFakeTimers()
    const exporter = scriptedExporter([retryable(60_000)])
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    const result = await processor.flush({ timeoutMillis: 2_000 })
    expect(result).toMatchObject({ status: 'failure', pending: 1, durationMillis: 0 })
    expect(result.error).toMatchObject({ code: 'http_status', status: 503 })
    await vi.advanceTimersByTimeAsync(59_999)
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(processor.stats()).toMatchObject({ exported: 1 })
  })

  it('B10: attempts that fail at once, without a backoff, do not keep a flush from its deadline', async () => {
    const exporter = fakeExporter('encoded', () => retryable())
    const processor = watchedProcessor(exporter, {
      retry: { initialBackoffMillis: 0 },
      circuitBreaker: false,
    })
    end(processor, 'a')
    expect(await processor.flush({ timeoutMillis: 50 })).toMatchObject({ pending: 1 })
  })

  it('B38: an open breaker lets one probe through per period, and other flushes settle at once', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, {
      circuitBreaker: { failureThreshold: 2, probeIntervalMillis: 30_000 },
      retry: { jitter: 0 },
      exportTimeoutMillis: 1_000_000,
    })
    end(processor, 'a')
    processor.forceFlush({ timeoutMillis: 0 })
    exporter.batches[0]!.release(retryable())
    await vi.advanceTimersByTimeAsync(1_000)
    exporter.batches[1]!.release(retryable())
    await microtasks()
    for (let i = 0; i < 3; i++) {
      const flushed = processor.flush({ timeoutMillis: 60_000 })
      expect(await hasSettled(flushed)).toBe(true)
      expect(await flushed).toMatchObject({ status: 'failure', pending: 1, error: { code: 'circuit_open' } })
    }
    await vi.advanceTimersByTimeAsync(29_999)
    expect(exporter.batches).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.batches).toHaveLength(3)
    const joined = processor.flush({ timeoutMillis: 60_000 })
    expect(await hasSettled(joined)).toBe(true)
    expect(await joined).toMatchObject({ error: { code: 'circuit_open' } })
    exporter.batches[2]!.release()
    await microtasks()
    expect(await processor.flush()).toMatchObject({ status: 'success', pending: 0 })
    end(processor, 'b')
    const flushed = processor.flush()
    exporter.batches[3]!.release()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B30: a resource that never settles delays an export by 5 s at most, once', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter('encoded', { whenResourcesSettle: () => new Promise(() => {}) })
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await vi.advanceTimersByTimeAsync(9_999)
    expect(exporter.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.names).toEqual(['a'])
    end(processor, 'b')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(exporter.names).toEqual(['a', 'b'])
  })
})

describe('a process with a processor in it', () => {
  it('B24: exits by itself while an exporter hangs, a span waits and a flush has given up', async () => {
    const { code, output } = await runScript(`
      import { BatchSpanProcessor } from './src/processor.ts'
      import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
      const exporter = { export() {}, async shutdown() {} }
      const processor = new BatchSpanProcessor(exporter, { maxExportBatchSize: 1, exportTimeoutMillis: 600_000 })
      const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('child')
      tracer.startSpan('hangs').end()
      const result = await processor.flush({ timeoutMillis: 50 })
      tracer.startSpan('waits').end()
      console.log(result.status, result.pending, processor.stats().pending)
    `)
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'timeout 1 2' })
  })

  it('B24: exits by itself while the retry of a batch is due, and a schedule is running', async () => {
    const { code, output } = await runScript(`
      import { BatchSpanProcessor, OTLPTraceExporter } from './src/index.ts'
      import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
      const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' })
      const processor = new BatchSpanProcessor(exporter)
      const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('child')
      tracer.startSpan('refused').end()
      const result = await processor.flush({ timeoutMillis: 300 })
      tracer.startSpan('waits').end()
      console.log(result.pending, processor.stats().pending)
    `)
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: '1 2' })
  })

  it('B24: exits by itself while its collector hangs: the attempt has its end, and the socket with it', async () => {
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    collector.otherwise(hangsAfterReading())
    const { code, output } = await runScript(`
      import { BatchSpanProcessor, OTLPTraceExporter } from './src/index.ts'
      import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
      const exporter = new OTLPTraceExporter({ url: '${collector.url}', timeoutMillis: 500 })
      const processor = new BatchSpanProcessor(exporter)
      const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('child')
      tracer.startSpan('hangs').end()
      console.log((await processor.flush({ timeoutMillis: 50 })).status)
    `)
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'timeout' })
    expect(collector.requests).toHaveLength(1)
  })

  it('B24: stays alive for a flush that somebody awaits', async () => {
    const { code, output } = await runScript(`
      import { BatchSpanProcessor } from './src/processor.ts'
      import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
      const exporter = { export: (spans, done) => setTimeout(done, 100, { code: 0 }).unref(), async shutdown() {} }
      const processor = new BatchSpanProcessor(exporter)
      new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('child').startSpan('a').end()
      console.log((await processor.flush()).status)
    `)
    expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'success' })
  })
})

describe('an OTLP exporter under a deadline', () => {
  it('B8: the collector never answers: the flush settles at its deadline, the socket closes at exportTimeoutMillis', async () => {
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    collector.script(hangsAfterReading())
    collector.otherwise(answers(200))
    const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }), {
      exportTimeoutMillis: 400,
    })
    endSpans(tracerFor(processor), 3)
    const startedAt = performance.now()
    const short = processor.flush({ timeoutMillis: 150 })
    const long = processor.flush({ timeoutMillis: 5_000 })
    expect(await short).toMatchObject({ status: 'timeout', pending: 3, exported: 0 })
    expect(performance.now() - startedAt).toBeLessThan(390)
    expect(collector.openConnections).toBe(1)
    await collector.whenClosed(1)
    expect(performance.now() - startedAt).toBeGreaterThan(390)
    // The attempt's time was up, not the longer caller's: the batch is tried again.
    expect(await long).toMatchObject({ status: 'success', exported: 3 })
    expect(collector.requests).toHaveLength(2)
  })
})
