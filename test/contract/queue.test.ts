import { setImmediate as turn } from 'node:timers/promises'
import { SpanKind, TraceFlags } from '@opentelemetry/api'
import { describe, expect, it, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import type { FlushResult, PipelineStats, ReadableSpan } from '../../src/types.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  type ExporterKind,
  fakeExporter,
  gatedExporter,
  retryable,
  scriptedExporter,
  tooLarge,
} from '../helpers/exporters.ts'
import { droppedIn, expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { end, endSpans, names, spanNamed, tracerFor, unsampledTracerFor } from '../helpers/processors.ts'
import { microtasks, settledBy } from '../helpers/settling.ts'

/** What a span with a name of `length` ASCII characters costs against `maxQueueBytes`. */
function costOf(kind: ExporterKind, length: number): number {
  const processor = watchedProcessor(gatedExporter(kind))
  end(processor, 'x'.repeat(length))
  return processor.stats().pendingBytes
}

describe.each(EXPORTER_KINDS)('the queue in front of %s', (_name, kind) => {
  it('B15: onDrop is never called from inside span.end(), and once for all drops of that moment', async () => {
    let isEnding = false
    const drops: unknown[] = []
    const processor = watchedProcessor(gatedExporter(kind), {
      maxQueueSize: 4,
      maxExportBatchSize: 4,
      onDrop: (drop) => {
        expect(isEnding).toBe(false)
        drops.push(drop)
      },
    })
    isEnding = true
    end(processor, ...names(10))
    isEnding = false
    await microtasks()
    end(processor, ...names(5))
    await microtasks()
    expect(drops).toEqual([
      { reason: 'queue_full', count: 6 },
      { reason: 'queue_full', count: 1 },
    ])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('mine')
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
  ])('B15, B60: an onDrop that %s is contained', async (_what, onDrop) => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxQueueSize: 2, maxExportBatchSize: 2, onDrop })
    end(processor, ...names(6))
    await turn()
    end(processor, ...names(6))
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    expect(processor.stats()).toMatchObject({ ended: 12, exported: 4, dropped: { queue_full: 8 } })
  })

  it("B15: dropPolicy 'newest' keeps the oldest", async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, {
      maxQueueSize: 4,
      maxExportBatchSize: 2,
      dropPolicy: 'newest',
    })
    end(processor, ...names(2, 'wire-'))
    await exporter.whenBatches(1)
    end(processor, ...names(8))
    expect(processor.stats()).toMatchObject({ pending: 6, dropped: { queue_full: 4 } })
    const flushed = processor.flush()
    for (let i = 0; i < 3; i++) {
      await exporter.whenBatches(i + 1)
      exporter.batches[i]!.release()
    }
    await flushed
    expect(exporter.names).toEqual([...names(2, 'wire-'), ...names(4)])
  })

  it('B16: waiting spans never exceed maxQueueBytes by one byte', async () => {
    const cost = costOf(kind, 100)
    const fits = watchedProcessor(gatedExporter(kind), { maxQueueBytes: 3 * cost })
    end(fits, ...names(3).map((name) => name.padEnd(100, '.')))
    expect(fits.stats()).toMatchObject({
      pending: 3,
      pendingBytes: 3 * cost,
      dropped: { queue_bytes_full: 0 },
    })

    const exporter = deliveringExporter(kind)
    const short = watchedProcessor(exporter, { maxQueueBytes: 3 * cost - 1 })
    end(short, ...names(3).map((name) => name.padEnd(100, '.')))
    expect(short.stats()).toMatchObject({
      pending: 2,
      pendingBytes: 2 * cost,
      dropped: { queue_bytes_full: 1 },
    })
    await short.flush()
    expect(exporter.names.map((name) => name.replaceAll('.', ''))).toEqual(['span-1', 'span-2'])
  })

  it("B16: with 'newest' the span that does not fit is refused, by one byte", async () => {
    const cost = costOf(kind, 100)
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxQueueBytes: 3 * cost - 1, dropPolicy: 'newest' })
    end(processor, ...names(3).map((name) => name.padEnd(100, '.')))
    expect(processor.stats()).toMatchObject({ pending: 2, dropped: { queue_bytes_full: 1 } })
    await processor.flush()
    expect(exporter.names.map((name) => name.replaceAll('.', ''))).toEqual(['span-0', 'span-1'])
  })

  it('B16: neither cap is ever exceeded, whatever the sizes, and one batch at most is held besides', async () => {
    const exporter = gatedExporter(kind)
    const maxQueueBytes = 20_000
    const largest = 4 * costOf(kind, 5_000)
    const processor = watchedProcessor(exporter, { maxQueueSize: 10, maxExportBatchSize: 4, maxQueueBytes })
    for (let i = 0; i < 400; i++) {
      end(processor, 'x'.repeat(1 + ((i * 7919) % 5_000)))
      if (i % 7 === 0) exporter.batches.at(-1)?.release()
      await undefined
      const { pending, pendingBytes, inFlight } = expectBalance(processor)
      expect(inFlight).toBeLessThanOrEqual(4)
      expect(pending - inFlight).toBeLessThanOrEqual(10)
      // Names and what they cost beside: four spans of 5,000 characters are on the wire at most.
      expect(pendingBytes).toBeLessThanOrEqual(maxQueueBytes + largest)
    }
  })

  it('B16, B19: pending is what the exporter holds and what waits, at every moment', async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, { maxQueueSize: 50, maxExportBatchSize: 7 })
    let released = 0
    for (let i = 0; i < 300; i++) {
      end(processor, `span-${i}`)
      if (i % 3 === 0) await microtasks()
      const last = exporter.batches.at(-1)
      if (i % 11 === 0 && last !== undefined && exporter.running > 0) {
        last.release(i % 2 === 0 ? 'delivered' : 'failed')
        released = exporter.batches.length
        await microtasks()
      }
      const { ended, pending, inFlight, exported, failed, dropped } = expectBalance(processor)
      expect(ended).toBe(i + 1)
      const onTheWire = exporter.running > 0 ? exporter.batches.at(-1)!.names.length : 0
      expect(inFlight).toBe(onTheWire)
      const settled = exporter.batches.slice(0, released).reduce((sum, batch) => sum + batch.names.length, 0)
      expect(exported + failed).toBe(settled)
      expect(pending).toBe(i + 1 - settled - dropped.queue_full)
    }
  })

  it('B17: one span larger than maxExportBatchBytes travels alone', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchBytes: 2 * costOf(kind, 10) })
    const large = 'x'.repeat(3_000)
    end(processor, 'aaaaaaaaaa', large, 'bbbbbbbbbb', 'cccccccccc', 'dddddddddd')
    await processor.flush()
    expect(exporter.batches.map((batch) => batch.names)).toEqual([
      ['aaaaaaaaaa'],
      [large],
      ['bbbbbbbbbb', 'cccccccccc'],
      ['dddddddddd'],
    ])
  })

  it('B17: one span above maxQueueBytes is dropped alone; its neighbours are delivered', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxQueueBytes: 2 * costOf(kind, 10) })
    end(processor, 'aaaaaaaaaa', 'x'.repeat(3_000), 'bbbbbbbbbb')
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 2, dropped: 0 })
    expect(exporter.names).toEqual(['aaaaaaaaaa', 'bbbbbbbbbb'])
    expect(processor.stats()).toMatchObject({ dropped: { span_too_large: 1 } })
  })

  it('maxExportBatchBytes wakes the loop, and bounds each batch', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const cost = costOf(kind, 10)
    const processor = watchedProcessor(exporter, { maxExportBatchBytes: 3 * cost })
    end(processor, 'aaaaaaaaaa', 'bbbbbbbbbb')
    await microtasks()
    expect(exporter.batches).toEqual([])
    end(processor, 'cccccccccc', 'dddddddddd')
    await microtasks()
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['aaaaaaaaaa', 'bbbbbbbbbb', 'cccccccccc']])
  })

  it('a large span that wakes the loop and is pushed out again leaves the small one scheduled', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const large = costOf(kind, 1_000)
    const processor = watchedProcessor(exporter, { maxQueueBytes: large, maxExportBatchBytes: large })
    end(processor, 'x'.repeat(1_000), 'small')
    await vi.advanceTimersByTimeAsync(5_000)
    expect(exporter.names).toEqual(['small'])
    expect(processor.stats()).toMatchObject({ exported: 1, dropped: { queue_bytes_full: 1 } })
  })

  it('B19: the ledger balances in every callback that a user can get at', async () => {
    const check = () => {
      expectBalance(processor)
    }
    const exporter = fakeExporter(kind, (_batch, index) => {
      check()
      return index % 2 === 0 ? 'delivered' : 'failed'
    })
    const processor = watchedProcessor(exporter, {
      maxQueueSize: 5,
      maxExportBatchSize: 2,
      onDrop: check,
      onError: check,
    })
    for (let i = 0; i < 10; i++) {
      end(processor, ...names(7))
      await processor.flush()
      check()
    }
    expect(droppedIn(processor.stats())).toBeGreaterThan(0)
  })

  it('B20: sampled-out spans are neither queued nor counted', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter)
    endSpans(unsampledTracerFor(processor), 5)
    const recordOnly = spanNamed('record only', {
      spanContext: () => ({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: TraceFlags.NONE }),
    })
    processor.onStart(recordOnly)
    processor.onEnd(recordOnly)
    await processor.flush()
    expect(exporter.batches).toEqual([])
    expect(processor.stats()).toMatchObject({ ended: 0, pending: 0, openSpans: 0 })
  })

  it('B22: the span.end() that fills a batch neither calls the exporter nor makes a batch', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 3 })
    end(processor, ...names(3))
    expect(exporter.batches).toEqual([])
    expect(processor.stats()).toMatchObject({ pending: 3, inFlight: 0 })
    await microtasks()
    expect(exporter.names).toEqual(names(3))
  })

  it('B22: no caller needed: full batches are sent, the rest waits for its timer', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 3 })
    end(processor, ...names(8))
    await microtasks()
    expect(exporter.names).toEqual(names(6))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(exporter.names).toEqual(names(8))
  })

  it('flushOnRootEnd sends what waits when a local root ends, after span.end()', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { flushOnRootEnd: true })
    const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: TraceFlags.SAMPLED }
    processor.onEnd(spanNamed('child', { parentSpanContext: parent }))
    await microtasks()
    expect(exporter.names).toEqual([])
    processor.onEnd(
      spanNamed('local root', { parentSpanContext: { ...parent, isRemote: true }, kind: SpanKind.SERVER }),
    )
    expect(exporter.names).toEqual([])
    await microtasks()
    expect(exporter.names).toEqual(['child', 'local root'])
  })

  it('what is no span is counted, and nothing throws', async () => {
    const processor = watchedProcessor(deliveringExporter(kind))
    for (const nothing of [undefined, null, {}, 'span']) {
      expect(() => processor.onStart(nothing as never)).not.toThrow()
      expect(() => processor.onEnd(nothing as never)).not.toThrow()
    }
    expect(processor.stats()).toMatchObject({ ended: 4, dropped: { encode_error: 4 } })
  })

  it('spans of the SDK come out in the order in which they ended', async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 100 })
    const ended = endSpans(tracerFor(processor), 1_000)
    await processor.flush()
    expect(exporter.names).toEqual(ended)
  })
})

describe('the queue in front of an encoded exporter', () => {
  it('B17: a batch that is too large is halved, and only the span that alone is too large is dropped', async () => {
    const exporter = fakeExporter('encoded', (batch) =>
      batch.names.includes('large') ? tooLarge() : 'delivered',
    )
    const processor = watchedProcessor(exporter)
    end(processor, ...names(5), 'large', ...names(5, 'more-'))
    const result = await processor.flush()
    expect(result).toMatchObject({
      status: 'failure',
      exported: 10,
      dropped: 1,
      error: { code: 'too_large' },
    })
    expect(processor.stats()).toMatchObject({ dropped: { span_too_large: 1 } })
    const delivered = exporter.batches.filter((batch) => !batch.names.includes('large'))
    expect(delivered.flatMap((batch) => batch.names)).toEqual([...names(5), ...names(5, 'more-')])
    expect(exporter.mostRunning).toBe(1)
  })

  it('B16: the batch that awaits its retry is the only one held besides what waits', async () => {
    vi.useFakeTimers()
    const exporter = fakeExporter('encoded', () => retryable())
    const processor = watchedProcessor(exporter, {
      maxQueueSize: 6,
      maxExportBatchSize: 3,
      circuitBreaker: false,
    })
    for (let second = 0; second < 300; second++) {
      end(processor, ...names(4))
      await vi.advanceTimersByTimeAsync(1_000)
      const { pending, inFlight } = expectBalance(processor)
      expect(inFlight).toBeLessThanOrEqual(3)
      expect(pending - inFlight).toBeLessThanOrEqual(6)
    }
    expect(processor.stats()).toMatchObject({ exported: 0, dropped: { retry_exhausted: 0 } })
  })

  it('B57: after an outage everything still held is delivered, in order', async () => {
    vi.useFakeTimers()
    let isDown = true
    const delivered: string[] = []
    const exporter = fakeExporter('encoded', (batch) => {
      if (isDown) return retryable()
      delivered.push(...batch.names)
      return 'delivered'
    })
    const processor = watchedProcessor(exporter, { maxQueueSize: 20, maxExportBatchSize: 5 })
    for (let i = 0; i < 100; i++) {
      end(processor, `span-${i}`)
      await vi.advanceTimersByTimeAsync(5_000)
    }
    const { pending, dropped } = expectBalance(processor)
    expect(pending).toBeGreaterThanOrEqual(20)
    expect(pending).toBeLessThanOrEqual(25)
    expect(dropped).toMatchObject({ queue_full: 100 - pending, retry_exhausted: 0 })
    isDown = false
    await vi.advanceTimersByTimeAsync(60_000)
    expect(processor.stats()).toMatchObject({ exported: pending, pending: 0 })
    expect(delivered).toHaveLength(pending)
    const held = delivered.map((name) => Number(name.slice(5)))
    expect(held).toEqual([...held].sort((a, b) => a - b))
    expect(held.at(-1)).toBe(99)
    expect(exporter.mostRunning).toBe(1)
  })

  it('B58: a batch that alone keeps failing is dropped after its attempts; those behind it are delivered', async () => {
    vi.useFakeTimers()
    const exporter = fakeExporter('encoded', (batch) =>
      batch.names.includes('poison') ? retryable() : 'delivered',
    )
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2, circuitBreaker: false })
    end(processor, 'poison', 'its neighbour', ...names(6))
    const result = await settledBy(processor.flush({ timeoutMillis: 60_000 }), 60_000)
    expect(result).toMatchObject({ status: 'failure', exported: 6, dropped: 2 })
    expect(processor.stats()).toMatchObject({ dropped: { retry_exhausted: 2 }, pending: 0 })
    expect(exporter.batches.filter((batch) => batch.names.includes('poison'))).toHaveLength(5)
  })

  it('retry: false sends nothing twice', async () => {
    const exporter = scriptedExporter([retryable()])
    const processor = watchedProcessor(exporter, { retry: false, maxExportBatchSize: 1 })
    end(processor, 'a', 'b')
    expect(await processor.flush()).toMatchObject({ status: 'failure', dropped: 1, exported: 1 })
    expect(exporter.names).toEqual(['a', 'b'])
  })

  it('B36: rejected spans are counted, and reported whole to every flush that their batch touches', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 3 })
    end(processor, 'a')
    const first = processor.flush({ timeoutMillis: 0 })
    await first
    end(processor, 'b', 'c')
    exporter.batches[0]!.release()
    const second = processor.flush()
    await exporter.whenBatches(2)
    exporter.batches[1]!.release({ kind: 'delivered', rejected: 1, message: 'too old' })
    expect(await second).toMatchObject({
      status: 'failure',
      exported: 2,
      rejected: 1,
      error: { code: 'partial_success' },
    })
    expect(processor.stats()).toMatchObject({ exported: 2, rejected: 1 })
  })

  it('B39: never more than maxExportsPerSecond, whoever asks', async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter('encoded')
    const processor = watchedProcessor(exporter, {
      maxExportBatchSize: 1,
      rateLimit: { maxExportsPerSecond: 2 },
    })
    end(processor, ...names(5))
    const flushed = processor.flush({ timeoutMillis: 10_000 })
    await microtasks()
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(499)
    processor.forceFlush({ timeoutMillis: 0 })
    await microtasks()
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.batches).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(1_500)
    expect(exporter.batches).toHaveLength(5)
    expect(await flushed).toMatchObject({ status: 'success', exported: 5 })
  })
})

describe('while a batch is taken', () => {
  const LATE: BatchSpanProcessorOptions = { scheduledDelayMillis: 0, encodeAt: 'flush' }

  /** A span whose name is read while it is encoded: that is when the books are looked at. */
  function spying(look: () => void, name = 'spy'): ReadableSpan {
    return Object.defineProperty(spanNamed(name), 'name', {
      get() {
        look()
        return name
      },
    })
  }

  it('B19: the ledger balances for user code that runs while spans are encoded late', async () => {
    const processor = watchedProcessor(deliveringExporter('encoded'), LATE)
    const looks: PipelineStats[] = []
    end(processor, 'before')
    processor.onEnd(spying(() => looks.push(expectBalance(processor))))
    processor.onEnd(
      spying(() => {
        looks.push(expectBalance(processor))
        throw new Error('cannot be encoded')
      }),
    )
    processor.onEnd(spying(() => looks.push(expectBalance(processor))))
    expect(await processor.flush()).toMatchObject({ exported: 3, dropped: 1, pending: 0 })
    expect(looks.slice(-3).map(({ pending }) => pending)).toEqual([4, 4, 3])
  })

  it('B1: a flush that user code calls meanwhile waits for the batch', async () => {
    const processor = watchedProcessor(deliveringExporter('encoded'), LATE)
    let inner: Promise<FlushResult> | undefined
    let isTaken = false
    end(processor, 'before')
    processor.onEnd(
      spying(() => {
        if (isTaken) inner ??= processor.flush()
      }),
    )
    isTaken = true
    await processor.flush()
    expect(await inner).toMatchObject({ status: 'success', exported: 2, pending: 0 })
  })
})
