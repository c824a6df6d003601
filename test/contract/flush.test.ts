import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { FlushResult } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  failingExporter,
  fakeExporter,
  gatedExporter,
  hangingExporter,
  rejectingExporter,
  throwingExporter,
} from '../helpers/exporters.ts'
import { GATE_KINDS, type Gate, openGate } from '../helpers/gates.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { contextOf, end, endSpans, names, spanNamed, tracerFor } from '../helpers/processors.ts'
import { hasSettled, settledBy } from '../helpers/settling.ts'

describe.each(GATE_KINDS)('flushing to %s', (_name, kind) => {
  let gate: Gate

  beforeEach(async () => {
    gate = await openGate(kind)
  })
  afterEach(() => gate.close())

  it('B1: with an export in flight and an empty queue, forceFlush resolves only after that export', async () => {
    const processor = watchedProcessor(gate.exporter, { maxExportBatchSize: 2 })
    endSpans(tracerFor(processor), 2)
    await gate.whenBatches(1)
    expect(processor.stats()).toMatchObject({ pending: 2, inFlight: 2 })

    const flushed = processor.forceFlush({ timeoutMillis: 5_000 })
    expect(await hasSettled(flushed)).toBe(false)
    gate.batches[0]!.release()
    await flushed
    expect(processor.stats()).toMatchObject({ exported: 2, pending: 0 })
    expect(gate.batches).toHaveLength(1)
  })

  it('B2: two concurrent flushes are one cycle, and each settles after what it covers', async () => {
    const processor = watchedProcessor(gate.exporter, { maxExportBatchSize: 2 })
    const tracer = tracerFor(processor)
    endSpans(tracer, 1, 'early-')
    const first = processor.flush({ timeoutMillis: 5_000 })
    endSpans(tracer, 1, 'late-')
    const second = processor.flush({ timeoutMillis: 5_000 })

    await gate.whenBatches(1)
    gate.batches[0]!.release()
    expect(await first).toMatchObject({ status: 'success', exported: 1, pending: 0 })
    expect(await hasSettled(second)).toBe(false)
    await gate.whenBatches(2)
    gate.batches[1]!.release()
    expect(await second).toMatchObject({ status: 'success', exported: 2, pending: 0 })
    expect(gate.batches.map((batch) => batch.names)).toEqual([['early-0'], ['late-0']])
  })

  it('B2: three flushes of the same spans make one request', async () => {
    const processor = watchedProcessor(gate.exporter)
    endSpans(tracerFor(processor), 3)
    const flushes = [1, 2, 3].map(() => processor.flush({ timeoutMillis: 5_000 }))
    await gate.whenBatches(1)
    gate.batches[0]!.release()
    for (const result of await Promise.all(flushes)) {
      expect(result).toMatchObject({ status: 'success', exported: 3 })
    }
    expect(gate.batches).toHaveLength(1)
  })

  it('B4: 200 spans in batches of 5 are 40 exports, in order, never two at once', async () => {
    const processor = watchedProcessor(gate.exporter, { maxExportBatchSize: 5 })
    const ended = endSpans(tracerFor(processor), 200)
    const flushed = processor.flush({ timeoutMillis: 8_000 })
    for (let i = 0; i < 40; i++) {
      await gate.whenBatches(i + 1)
      expectBalance(processor)
      gate.batches[i]!.release()
    }
    expect(await flushed).toMatchObject({ status: 'success', exported: 200, pending: 0 })
    expect(gate.batches).toHaveLength(40)
    expect(gate.mostRunning).toBe(1)
    expect(gate.batches.flatMap((batch) => batch.names)).toEqual(ended)
  })

  it('B15: queue 4, batch 2, two on the wire, eight more: the newest four wait, four are queue_full', async () => {
    const drops: unknown[] = []
    const processor = watchedProcessor(gate.exporter, {
      maxQueueSize: 4,
      maxExportBatchSize: 2,
      onDrop: (drop) => drops.push(drop),
    })
    const tracer = tracerFor(processor)
    endSpans(tracer, 2, 'wire-')
    await gate.whenBatches(1)
    endSpans(tracer, 8)
    expect(drops).toEqual([])
    const flushed = processor.flush({ timeoutMillis: 5_000 })
    expect(processor.stats()).toMatchObject({ pending: 6, inFlight: 2, dropped: { queue_full: 4 } })
    for (let i = 0; i < 3; i++) {
      await gate.whenBatches(i + 1)
      gate.batches[i]!.release()
    }
    expect(await flushed).toMatchObject({ status: 'success', exported: 6, dropped: 0 })
    expect(drops).toEqual([{ reason: 'queue_full', count: 4 }])
    expect(gate.batches.map((batch) => batch.names)).toEqual([
      ['wire-0', 'wire-1'],
      ['span-4', 'span-5'],
      ['span-6', 'span-7'],
    ])
  })
})

describe.each(EXPORTER_KINDS)('a flush with %s', (_name, kind) => {
  it("B1: the exporter's own forceFlush is called once, after the export in flight", async () => {
    let running = 0
    const exporter = gatedExporter(kind, {
      forceFlush: async () => {
        running = exporter.running
      },
    })
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a')
    await exporter.whenBatches(1)
    running = -1
    const flushes = [processor.forceFlush(), processor.forceFlush()]
    expect(exporter.flushes).toBe(0)
    exporter.batches[0]!.release()
    await Promise.all(flushes)
    expect(exporter.flushes).toBe(1)
    expect(running).toBe(0)
  })

  it("B1: with nothing to send the exporter's own forceFlush is called all the same", async () => {
    const exporter = deliveringExporter(kind, { forceFlush: async () => {} })
    const processor = watchedProcessor(exporter)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 0 })
    expect(exporter.flushes).toBe(1)
    expect(exporter.batches).toEqual([])
  })

  it('B3: spans that end while a flush runs are not waited for, and go with the next cycle by themselves', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 5_000 })
    end(processor, 'before')
    const flushed = processor.flush()
    await exporter.whenBatches(1)
    end(processor, 'during')
    exporter.batches[0]!.release()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1, pending: 0 })
    expect(exporter.names).toEqual(['before'])

    await vi.advanceTimersByTimeAsync(5_000)
    expect(exporter.names).toEqual(['before', 'during'])
    exporter.batches[1]!.release()
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    expect(processor.stats()).toMatchObject({ exported: 2, pending: 0 })
  })

  it('B3: a flush that is called while another runs covers what ended in between', async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'before')
    const first = processor.flush()
    await exporter.whenBatches(1)
    end(processor, 'between')
    const second = processor.flush()
    exporter.batches[0]!.release()
    expect(await first).toMatchObject({ exported: 1 })
    await exporter.whenBatches(2)
    exporter.batches[1]!.release()
    expect(await second).toMatchObject({ status: 'success', exported: 2 })
  })

  it('B3: under a producer that never stops every flush settles', async () => {
    let producing = true
    const exporter = fakeExporter(kind, () => {
      if (producing) end(processor, 'more', 'more')
      return 'delivered'
    })
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    for (let round = 0; round < 20; round++) {
      end(processor, `round-${round}`)
      expect(await processor.flush()).toMatchObject({ status: 'success', pending: 0 })
    }
    producing = false
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    expect(processor.stats()).toMatchObject({ pending: 0, dropped: { queue_full: 0 } })
  })

  it.each(names(40, '').map(Number))(
    'B3: a flush called %i microtasks after an answer covers a span that ended just before it',
    async (microtasks) => {
      vi.useFakeTimers()
      const exporter = gatedExporter(kind)
      const processor = watchedProcessor(exporter)
      end(processor, 'first')
      const first = processor.flush()
      exporter.batches[0]!.release()
      for (let i = 0; i < microtasks; i++) await undefined
      end(processor, 'second')
      const second = processor.flush()
      for (let i = 0; i < 60; i++) {
        await undefined
        exporter.batches[1]?.release()
      }
      // No time has passed: nobody may have waited for a timer.
      expect(await hasSettled(second)).toBe(true)
      expect(await second).toMatchObject({ status: 'success', pending: 0 })
      expect(await first).toMatchObject({ status: 'success' })
      expect(exporter.names).toEqual(['first', 'second'])
    },
  )

  it('B5: batch 2 of 4 fails for good: the others are delivered, and shutdown shuts the exporter down once', async () => {
    const exporter = fakeExporter(kind, (_batch, index) => (index === 1 ? 'failed' : 'delivered'))
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 5, maxQueueSize: 20 })
    end(processor, ...names(20))
    const result = await processor.flush()
    expect(result).toMatchObject({ status: 'failure', exported: 15, failed: 5, dropped: 0, pending: 0 })
    expect(result.error).toMatchObject({ name: 'ExportError' })
    expect(exporter.names).toEqual(names(20))
    await Promise.all([processor.shutdown(), processor.shutdown()])
    await processor.shutdown()
    expect(exporter.shutdowns).toBe(1)
    expect(processor.stats()).toMatchObject({ exported: 15, failed: 5 })
  })

  it("B6: the exporter's forceFlush hangs: ours settles at the deadline, and so does the next", async () => {
    vi.useFakeTimers()
    const exporter = deliveringExporter(kind, { forceFlush: () => new Promise(() => {}) })
    const processor = watchedProcessor(exporter)
    for (let round = 0; round < 2; round++) {
      end(processor, `a${round}`)
      const flushed = processor.flush({ timeoutMillis: 500 })
      await vi.advanceTimersByTimeAsync(499)
      expect(await hasSettled(flushed)).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect(await flushed).toMatchObject({ status: 'timeout', exported: 1, pending: 0 })
    }
  })

  it("B10: the exporter's forceFlush throws or rejects: ours resolves, and a warning says so", async () => {
    const rejecting = deliveringExporter(kind, { forceFlush: () => Promise.reject(new Error('no')) })
    const throwing = deliveringExporter(kind, {
      forceFlush: () => {
        throw new Error('no')
      },
    })
    for (const exporter of [rejecting, throwing]) {
      const lines = captureDiag()
      const processor = watchedProcessor(exporter)
      end(processor, 'a')
      expect(await processor.flush()).toMatchObject({ status: 'success', exported: 1 })
      await expect(processor.forceFlush()).resolves.toBeUndefined()
      expect(
        lines.filter((line) => line.includes("the exporter's own flush or shutdown failed")),
      ).toHaveLength(1)
    }
  })

  it('B8: the exporter never answers: 499 ms no, 500 ms yes, and a longer caller is not cut short', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter, { exportTimeoutMillis: 10_000 })
    end(processor, ...names(3))
    const short = processor.flush({ timeoutMillis: 500 })
    const long = processor.flush({ timeoutMillis: 3_000 })
    await vi.advanceTimersByTimeAsync(499)
    expect(await hasSettled(short)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    const result = await short
    expect(result).toMatchObject({ status: 'timeout', pending: 3, exported: 0, durationMillis: 500 })
    expect(result.error).toMatchObject({ code: 'timeout' })
    expect(await hasSettled(long)).toBe(false)
    await vi.advanceTimersByTimeAsync(2_000)
    exporter.batches[0]!.release()
    expect(await long).toMatchObject({ status: 'success', exported: 3, pending: 0 })
    expect(exporter.batches).toHaveLength(1)
  })

  it('B8: with no caller left the attempt goes on to exportTimeoutMillis, and is then aborted', async () => {
    vi.useFakeTimers()
    const exporter = hangingExporter(kind)
    const processor = watchedProcessor(exporter, { exportTimeoutMillis: 5_000 })
    end(processor, 'a')
    expect(await settledBy(processor.flush({ timeoutMillis: 100 }), 100)).toMatchObject({ pending: 1 })
    await vi.advanceTimersByTimeAsync(4_899)
    expect(processor.stats()).toMatchObject({ inFlight: 1 })
    const signal = exporter.batches[0]!.attempt?.signal
    expect(signal?.aborted ?? false).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    if (kind === 'encoded') expect(signal!.aborted).toBe(true)
    else expect(processor.stats()).toMatchObject({ failed: 1, pending: 0 })
  })

  it('B9: a signal ends its own caller, at once, and nobody else', async () => {
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    end(processor, 'a', 'b')
    const controller = new AbortController()
    const impatient = processor.flush({ signal: controller.signal })
    const patient = processor.flush()
    await exporter.whenBatches(1)
    controller.abort()
    expect(await impatient).toMatchObject({ status: 'timeout', pending: 2, exported: 0 })
    expect(await hasSettled(patient)).toBe(false)
    exporter.batches[0]!.release()
    expect(await patient).toMatchObject({ status: 'success', exported: 2 })
  })

  it.each([
    ['a timeout of 0', { timeoutMillis: 0 }],
    ['an aborted signal', { signal: AbortSignal.abort() }],
  ])('B9: with %s a flush returns at once with the true state, the drain started', async (_what, options) => {
    vi.useFakeTimers()
    const exporter = gatedExporter(kind)
    const processor = watchedProcessor(exporter)
    expect(await processor.flush(options)).toMatchObject({ status: 'success', pending: 0 })
    end(processor, 'a', 'b')
    const flushed = processor.flush(options)
    expect(exporter.batches).toHaveLength(1)
    expect(await flushed).toMatchObject({ status: 'timeout', pending: 2, exported: 0 })
    exporter.batches[0]!.release()
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    expect(processor.stats()).toMatchObject({ exported: 2 })
  })

  it('B10: forceFlush and flush never reject, whatever the exporter does', async () => {
    vi.useFakeTimers()
    const make = [failingExporter, throwingExporter, rejectingExporter, hangingExporter]
    for (const exporterOf of make) {
      const processor = watchedProcessor(exporterOf(kind), { flushTimeoutMillis: 100 })
      end(processor, 'a')
      await expect(settledBy(processor.forceFlush(), 100)).resolves.toBeUndefined()
      end(processor, 'b')
      const result = await settledBy(processor.flush(), 100)
      expect(result.status).not.toBe('success')
      expectBalance(processor)
    }
  })

  it.each([
    ['NaN', Number.NaN],
    ['a negative number', -1],
    ['a string', '10'],
    ['null', null],
    ['a symbol', Symbol('soon')],
    ['an object without a prototype', Object.create(null)],
  ])('B10: a timeoutMillis that is %s is warned about, not thrown', async (_what, timeoutMillis) => {
    const processor = watchedProcessor(deliveringExporter(kind))
    end(processor, 'a')
    const options = { timeoutMillis: timeoutMillis as number }
    await expect(processor.flush(options)).resolves.toMatchObject({ status: 'success', exported: 1 })
    await expect(processor.forceFlush(options)).resolves.toBeUndefined()
    await expect(processor.shutdown(options)).resolves.toBeUndefined()
  })

  it.each([
    ['null', null],
    ['a signal that is none', { signal: {} }],
    ['a number', 2_000],
  ])('B10: options that are %s are survived', async (_what, options) => {
    const processor = watchedProcessor(deliveringExporter(kind))
    end(processor, 'a')
    await expect(processor.flush(options as object)).resolves.toMatchObject({ status: 'success' })
    await expect(processor.forceFlush(options as object)).resolves.toBeUndefined()
    await expect(processor.shutdown(options as object)).resolves.toBeUndefined()
  })

  it("B14: the handler's own result or error survives any flush outcome", async () => {
    vi.useFakeTimers()
    for (const exporterOf of [deliveringExporter, failingExporter, throwingExporter, hangingExporter]) {
      const processor = watchedProcessor(exporterOf(kind), { flushTimeoutMillis: 100 })
      const handler = async (outcome: () => string) => {
        try {
          end(processor, 'a')
          return outcome()
        } finally {
          await processor.forceFlush()
        }
      }
      const mine = new Error('mine')
      expect(
        await settledBy(
          handler(() => 'result'),
          100,
        ),
      ).toBe('result')
      const failing = handler(() => {
        throw mine
      })
      failing.catch(() => {})
      await vi.advanceTimersByTimeAsync(100)
      await expect(failing).rejects.toBe(mine)
    }
  })

  it('B61: a flush that timed out says so in one warning, with what was pending', async () => {
    vi.useFakeTimers()
    const lines = captureDiag()
    const processor = watchedProcessor(hangingExporter(kind))
    end(processor, ...names(7))
    for (let i = 0; i < 2; i++) await settledBy(processor.flush({ timeoutMillis: 100 }), 100)
    const warnings = lines.filter((line) => line.includes('flush'))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('7 spans pending, the oldest on their way for 100 ms')
  })
})

describe.each(EXPORTER_KINDS)('open spans, with %s', (_name, kind) => {
  beforeEach(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    onTestFinished(() => context.disable())
  })

  it("B13: with 'wait' a flush covers the spans that were open at the call", async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter)
    const tracer = tracerFor(processor)
    const open = [tracer.startSpan('open-0'), tracer.startSpan('open-1')]
    endSpans(tracer, 1)
    const flushed = processor.flush({ openSpans: 'wait' })
    await exporter.whenBatches(1)
    open[0]!.end()
    const later = tracer.startSpan('later')
    expect(await hasSettled(flushed)).toBe(false)
    open[1]!.end()
    expect(await flushed).toMatchObject({ status: 'success', exported: 3, openSpans: 2, pending: 0 })
    expect(processor.stats()).toMatchObject({ openSpans: 1 })
    later.end()
  })

  it("B13: with 'wait' a span that never ends is waited for until the deadline", async () => {
    vi.useFakeTimers()
    const processor = watchedProcessor(deliveringExporter(kind))
    const tracer = tracerFor(processor)
    tracer.startSpan('never')
    endSpans(tracer, 2)
    const flushed = processor.flush({ openSpans: 'wait', timeoutMillis: 300 })
    await vi.advanceTimersByTimeAsync(299)
    expect(await hasSettled(flushed)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await flushed).toMatchObject({ status: 'timeout', exported: 2, pending: 0, openSpans: 1 })
  })

  it("B13: with 'ignore', the default, the result reports how many were open", async () => {
    const processor = watchedProcessor(deliveringExporter(kind))
    const tracer = tracerFor(processor)
    const open = tracer.startSpan('open')
    expect(await processor.flush()).toMatchObject({ status: 'success', openSpans: 1 })
    expect(await processor.flush({ openSpans: 'ignore' })).toMatchObject({ openSpans: 1 })
    open.end()
    expect(await processor.flush()).toMatchObject({ openSpans: 0, exported: 1 })
  })

  it("B13: the caller's own active span and its ancestors are never waited for", async () => {
    const exporter = deliveringExporter(kind)
    const processor = watchedProcessor(exporter)
    const tracer = tracerFor(processor)
    const grandparent = tracer.startSpan('grandparent')
    const parent = tracer.startSpan('parent', {}, contextOf(grandparent))
    const own = tracer.startSpan('own', {}, contextOf(parent))
    const sibling = tracer.startSpan('sibling', {}, contextOf(parent))
    const flushed = context.with(contextOf(own), () => processor.flush({ openSpans: 'wait' }))
    expect(await hasSettled(flushed)).toBe(false)
    sibling.end()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1, openSpans: 4 })
    for (const span of [own, parent, grandparent]) span.end()
    expect(await processor.flush()).toMatchObject({ exported: 3 })
  })
})

describe('a flush result', () => {
  it('counts only the spans that the flush covers', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 4 })
    end(processor, ...names(2))
    const flushed = processor.flush()
    end(processor, ...names(2, 'later-'))
    exporter.batches[0]!.release()
    const expected: Partial<FlushResult> = { exported: 2, rejected: 0, failed: 0, dropped: 0, pending: 0 }
    expect(await flushed).toMatchObject(expected)
  })

  it('has an error exactly when it is no success', async () => {
    const processor = watchedProcessor(
      fakeExporter('stock', (batch) => (batch.names[0] === 'bad' ? 'failed' : 'delivered')),
    )
    end(processor, 'good')
    expect(await processor.flush()).not.toHaveProperty('error')
    processor.onEnd(spanNamed('bad'))
    expect(await processor.flush()).toHaveProperty('error')
  })
})
