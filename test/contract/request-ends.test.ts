/** What a request that ends leaves to others, and what the requests of a processor must not share. */
import { describe, expect, it, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { ENDS_REQUEST, REQUEST_SCOPE } from '../../src/request.ts'
import type { Resource, SpanExporter } from '../../src/types.ts'
import { deliveringExporter, gatedExporter } from '../helpers/exporters.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { Request, useRequestTimers } from '../helpers/requests.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

useRequestTimers()

function sharedProcessor(exporter: SpanExporter, options: BatchSpanProcessorOptions = {}) {
  return watchedProcessor(exporter, { requestScoped: true, ...options })
}

describe('a flush that ends its request', () => {
  it('B51: hands back what it holds at its deadline, so that the next request sends it at once', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter)
    end(processor, 'a')
    const last = { timeoutMillis: 1_000, [ENDS_REQUEST]: true }
    const flushed = new Request().run(() => processor.flush(last))
    expect(await settledBy(flushed, 1_000)).toMatchObject({ status: 'timeout', pending: 1 })
    expect(exporter.batches[0]!.attempt!.signal.aborted).toBe(true)
    expect(processor.stats()).toMatchObject({ pending: 1, inFlight: 0 })
    expect(vi.getTimerCount()).toBe(0)
    const next = new Request().run(() => processor.flush())
    await microtasks()
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a'], ['a']])
    exporter.batches[1]!.release()
    expect(await next).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B38, B51: and what was cut short says nothing about the backend', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { circuitBreaker: { failureThreshold: 1 } })
    end(processor, 'a')
    const last = { timeoutMillis: 10, [ENDS_REQUEST]: true }
    await settledBy(
      new Request().run(() => processor.flush(last)),
      10,
    )
    const next = new Request().run(() => processor.flush())
    await microtasks()
    exporter.batches[1]!.release()
    expect(await next).toMatchObject({ status: 'success' })
  })
})

describe('a request that looks for the dead and dies itself', () => {
  it('B51: keeps nobody else from taking over what the dead have left', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter)
    const dead = new Request()
    end(processor, 'a')
    dead.run(() => processor.flush({ timeoutMillis: 60_000 }))
    await microtasks()
    dead.end()
    await vi.advanceTimersByTimeAsync(3_000)
    for (let i = 0; i < 7; i++) {
      const looking = new Request()
      looking.run(() => processor.flush({ timeoutMillis: 60_000 }))
      looking.end()
      await vi.advanceTimersByTimeAsync(100)
    }
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 60_000 }))
    await vi.advanceTimersByTimeAsync(6_000)
    expect(exporter.batches).toHaveLength(2)
    exporter.batches[1]!.release()
    expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success', exported: 1 })
  })
})

describe('one request', () => {
  it('B4, B51: is known by the option of a helper, too, where there is no context manager', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1 })
    const options = { [REQUEST_SCOPE]: new Request(), timeoutMillis: 5_000 }
    end(processor, 'a', 'b')
    const flushes = [processor.flush(options), processor.flush(options)]
    await vi.advanceTimersByTimeAsync(300)
    expect(exporter.batches).toHaveLength(1)
    exporter.batches[0]!.release()
    await vi.advanceTimersByTimeAsync(300)
    exporter.batches[1]!.release()
    for (const flushed of flushes) expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success' })
  })

  it('B4, B51: has one export on its way at a time, whoever asks', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2 })
    const request = new Request()
    request.run(() => end(processor, ...names(5)))
    const flushes = [1, 2, 3].map(() => request.run(() => processor.flush({ timeoutMillis: 10_000 })))
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(300)
      expect(exporter.batches).toHaveLength(i + 1)
      exporter.batches[i]!.release()
    }
    for (const flushed of flushes) {
      expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success', exported: 5 })
    }
    expect(exporter.mostRunning).toBe(1)
  })
})

describe('requests share no promise', () => {
  it('B13, B51: open spans are looked at, since who ends them is another request', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter)
    const span = spanNamed('late')
    processor.onStart(span)
    const [waiting, ending] = [new Request(), new Request()]
    const flushed = waiting.run(() => processor.flush({ openSpans: 'wait' }))
    await vi.advanceTimersByTimeAsync(300)
    ending.run(() => processor.onEnd(span))
    // Nothing happens within the request that ends the span.
    expect(await hasSettled(flushed)).toBe(false)
    expect(exporter.batches).toHaveLength(0)
    expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B30, B51: each waits for the attributes of a resource by itself', async () => {
    const hanging = new Request()
    let isPending = true
    const resource: Resource = {
      attributes: {},
      get asyncAttributesPending() {
        return isPending
      },
      // The first request to ask has died: its promise never settles.
      waitForAsyncAttributes: vi
        .fn(async () => {
          isPending = false
        })
        .mockReturnValueOnce(new Promise(() => {})),
    }
    const exporter = deliveringExporter('stock')
    const processor = sharedProcessor(exporter)
    processor.onEnd(spanNamed('a', { resource }))
    hanging.run(() => processor.flush())
    hanging.end()
    const flushed = new Request().run(() => processor.flush())
    expect(await hasSettled(flushed)).toBe(true)
    expect(exporter.names).toEqual(['a'])
  })

  it('B30, B51: all of them together wait five seconds for a resource that never settles', async () => {
    const waitForAsyncAttributes = vi.fn(() => new Promise<void>(() => {}))
    const resource: Resource = { attributes: {}, asyncAttributesPending: true, waitForAsyncAttributes }
    const processor = sharedProcessor(deliveringExporter('stock'))
    for (let i = 0; i < 5; i++) {
      processor.onEnd(spanNamed(`early-${i}`, { resource }))
      const flushed = new Request().run(() => processor.flush())
      expect(await settledBy(flushed, 1_000)).toMatchObject({ status: 'success', exported: 1 })
    }
    const asked = waitForAsyncAttributes.mock.calls.length
    processor.onEnd(spanNamed('late', { resource }))
    const flushed = new Request().run(() => processor.flush())
    expect(await hasSettled(flushed)).toBe(true)
    expect(waitForAsyncAttributes).toHaveBeenCalledTimes(asked)
  })

  it('B51: a line that a dead request was writing is written anew, and lines never overlap', async () => {
    const writes: { line: string; finish: () => void }[] = []
    const write = (line: string) => new Promise<void>((finish) => writes.push({ line, finish }))
    const processor = sharedProcessor(new JsonLinesExporter({ write }), { maxExportBatchSize: 1 })
    const dead = new Request()
    end(processor, 'a', 'b')
    dead.run(() => processor.flush({ timeoutMillis: 20_000 }))
    await microtasks()
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 20_000 }))
    await microtasks()
    expect(writes).toHaveLength(1)
    dead.end()
    await vi.advanceTimersByTimeAsync(8_000)
    expect(writes).toHaveLength(2)
    expect(writes[1]!.line).toContain('"name":"a"')
    writes[1]!.finish()
    await vi.advanceTimersByTimeAsync(300)
    expect(writes[2]!.line).toContain('"name":"b"')
    writes[2]!.finish()
    expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success', exported: 2 })
    expect(expectBalance(processor)).toMatchObject({ exported: 2, pending: 0 })
  })

  it("B6, B51: an exporter's own flush that waits for a dead request costs the later ones a second", async () => {
    let hangs = true
    const exporter = deliveringExporter('stock', {
      forceFlush: () => (hangs ? new Promise(() => {}) : Promise.resolve()),
    })
    const processor = sharedProcessor(exporter)
    const flush = () => new Request().run(() => processor.flush({ timeoutMillis: 28_000 }))
    end(processor, 'a')
    expect(await settledBy(flush(), 28_000)).toMatchObject({ status: 'timeout', exported: 1, pending: 0 })
    end(processor, 'b')
    expect(await settledBy(flush(), 1_000)).toMatchObject({ status: 'timeout', exported: 1, pending: 0 })
    hangs = false
    for (const name of ['c', 'd']) {
      end(processor, name)
      expect(await settledBy(flush(), 0)).toMatchObject({ status: 'success', exported: 1 })
    }
  })
})

describe('outside of any request', () => {
  it('B51: a flush answers at once with the true state, and the next request sends', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter)
    end(processor, 'a')
    vi.stubGlobal('setTimeout', () => {
      throw new Error('Disallowed operation called within global scope')
    })
    expect(await processor.flush()).toMatchObject({ status: 'timeout', pending: 1 })
    vi.unstubAllGlobals()
    expect(await new Request().run(() => processor.flush())).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B15, B51: drops made by `onDrop` itself are told with the next one', async () => {
    const told: number[] = []
    const processor = sharedProcessor(deliveringExporter('encoded'), {
      maxQueueSize: 1,
      onDrop({ count }) {
        told.push(count)
        if (told.length === 1) end(processor, 'made', 'by', 'onDrop')
      },
    })
    vi.stubGlobal('setTimeout', () => {
      throw new Error('Disallowed operation called within global scope')
    })
    end(processor, 'a', 'b')
    await microtasks()
    expect(told).toEqual([1])
    end(processor, 'c')
    await microtasks()
    expect(told).toEqual([1, 4])
    expect(expectBalance(processor)).toMatchObject({ ended: 6, dropped: { queue_full: 5, encode_error: 0 } })
  })
})
