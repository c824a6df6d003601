/** Requests that share a processor and nothing else. The real runtime's turn is in test/runtimes. */
import { describe, expect, it, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import type { SpanExporter } from '../../src/types.ts'
import {
  type Answer,
  deliveringExporter,
  fakeExporter,
  gatedExporter,
  hangingExporter,
  retryable,
  scriptedExporter,
} from '../helpers/exporters.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { Request, useRequestTimers } from '../helpers/requests.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

useRequestTimers()

function sharedProcessor(exporter: SpanExporter, options: BatchSpanProcessorOptions = {}) {
  return watchedProcessor(exporter, { requestScoped: true, ...options })
}

describe('a flush in a request', () => {
  it('B51: sends what has ended, in batches, and reports on it', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2 })
    const request = new Request()
    const result = await request.run(() => {
      end(processor, 'a', 'b', 'c')
      return processor.flush()
    })
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a', 'b'], ['c']])
    expect(result).toMatchObject({ status: 'success', exported: 3, pending: 0 })
    // The full batch had woken a drain, too, which finds that there is nothing left.
    await vi.advanceTimersByTimeAsync(10)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B51: sends in its own request what another has not taken, at the same time', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a')
    const first = new Request().run(() => processor.flush())
    end(processor, 'b')
    const second = new Request().run(() => processor.flush())
    await microtasks()
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a'], ['b']])
    exporter.batches[1]!.release()
    expect(await hasSettled(second)).toBe(false)
    exporter.batches[0]!.release()
    expect(await settledBy(second, 500)).toMatchObject({ status: 'success', exported: 2 })
    expect(await first).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B4, B51: never makes two requests at once by itself', async () => {
    const exporter = fakeExporter('encoded', () => Promise.resolve<Answer>('delivered'))
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 5 })
    end(processor, ...names(200))
    await new Request().run(() => processor.flush())
    expect(exporter.batches).toHaveLength(40)
    expect(exporter.mostRunning).toBe(1)
  })

  it('B51: takes over what a request held that was cancelled in the middle of its attempt', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter)
    const cancelled = new Request()
    end(processor, 'a')
    cancelled.run(() => processor.flush({ timeoutMillis: 30_000 }))
    await microtasks()
    cancelled.end()
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 20_000 }))
    await vi.advanceTimersByTimeAsync(6_000)
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a'], ['a']])
    exporter.batches[1]!.release()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
    // It answers after all: it has been counted already.
    exporter.batches[0]!.release()
    await microtasks()
    expect(expectBalance(processor)).toMatchObject({ ended: 1, exported: 1 })
  })

  it('B51: does not take over what a live request is still waiting for, however long that takes', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter)
    end(processor, 'a')
    const first = new Request().run(() => processor.flush({ timeoutMillis: 60_000 }))
    const second = new Request().run(() => processor.flush({ timeoutMillis: 60_000 }))
    await vi.advanceTimersByTimeAsync(25_000)
    expect(exporter.batches).toHaveLength(1)
    exporter.batches[0]!.release()
    expect(await settledBy(second, 500)).toMatchObject({ status: 'success', exported: 1 })
    await first
  })

  it('B8, B51: settles at its deadline while another request holds its spans, and says so', async () => {
    const processor = sharedProcessor(hangingExporter('encoded'))
    end(processor, 'a')
    new Request().run(() => processor.flush({ timeoutMillis: 60_000 }))
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 500 }))
    await vi.advanceTimersByTimeAsync(499)
    expect(await hasSettled(flushed)).toBe(false)
    expect(await settledBy(flushed, 1)).toMatchObject({ status: 'timeout', pending: 1 })
  })

  it('B8: lets its attempt go on when its deadline has come, and no other follows', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a', 'b')
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 500 }))
    expect(await settledBy(flushed, 500)).toMatchObject({ status: 'timeout', pending: 2 })
    expect(exporter.batches[0]!.attempt!.signal.aborted).toBe(false)
    exporter.batches[0]!.release()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(exporter.batches).toHaveLength(1)
    expect(expectBalance(processor)).toMatchObject({ exported: 1, pending: 1, inFlight: 0 })
  })

  it('B33: tries again after the backoff, and anybody may: nothing is held meanwhile', async () => {
    const exporter = scriptedExporter([retryable()])
    const processor = sharedProcessor(exporter)
    const request = new Request()
    end(processor, 'a')
    const flushed = request.run(() => processor.flush({ timeoutMillis: 5_000 }))
    await microtasks()
    expect(processor.stats()).toMatchObject({ inFlight: 0, pending: 1 })
    expect(await settledBy(flushed, 1_300)).toMatchObject({ status: 'success', exported: 1 })
    expect(exporter.batches).toHaveLength(2)
  })

  it('B58: attempts are counted across requests, so that a poison batch goes in the end', async () => {
    const exporter = fakeExporter('encoded', ({ names: [name] }) =>
      name === 'bad' ? retryable() : 'delivered',
    )
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1, circuitBreaker: false })
    end(processor, 'bad', 'good')
    for (let i = 0; i < 6; i++) {
      const request = new Request()
      const flushed = request.run(() => processor.flush({ timeoutMillis: 500 }))
      await settledBy(flushed, 10_000)
      request.end()
    }
    expect(expectBalance(processor)).toMatchObject({
      exported: 1,
      dropped: { retry_exhausted: 1 },
      pending: 0,
    })
  })

  it('B38: one probe a period, whoever asks, when the breaker is open', async () => {
    let isUp = false
    const exporter = fakeExporter('encoded', () => (isUp ? new Promise(() => {}) : retryable()))
    const processor = sharedProcessor(exporter, {
      maxExportBatchSize: 1,
      circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 30_000 },
    })
    end(processor, 'a', 'b')
    await new Request().run(() => processor.flush())
    const refused = await new Request().run(() => processor.flush())
    expect(refused).toMatchObject({ status: 'failure', pending: 2, error: { code: 'circuit_open' } })
    expect(exporter.batches).toHaveLength(1)
    isUp = true
    await vi.advanceTimersByTimeAsync(30_000)
    new Request().run(() => processor.flush())
    await microtasks()
    const meanwhile = await new Request().run(() => processor.flush())
    expect(meanwhile).toMatchObject({ status: 'failure', pending: 2, error: { code: 'circuit_open' } })
    expect(exporter.batches).toHaveLength(2)
  })

  it('B38, B51: a probe whose request was cancelled does not keep the breaker open', async () => {
    let respond: () => Answer | Promise<Answer> = () => retryable()
    const exporter = fakeExporter('encoded', () => respond())
    const processor = sharedProcessor(exporter, {
      maxExportBatchSize: 1,
      circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 30_000 },
    })
    end(processor, 'a', 'b')
    await new Request().run(() => processor.flush())
    await vi.advanceTimersByTimeAsync(30_000)
    respond = () => new Promise(() => {})
    const cancelled = new Request()
    cancelled.run(() => processor.flush())
    await microtasks()
    cancelled.end()
    respond = () => 'delivered'
    // Each of them looks once, and is told that the breaker is open.
    for (let i = 0; i < 10; i++) {
      await new Request().run(() => processor.flush())
      await vi.advanceTimersByTimeAsync(5_000)
    }
    expect(expectBalance(processor)).toMatchObject({ exported: 2, pending: 0 })
  })

  it.each([
    ['a rate limit', { rateLimit: { maxExportsPerSecond: 1 } }, undefined],
    ['a server that names the time of the next attempt', {}, 1_000],
  ])('B58: a poison batch goes in spite of %s', async (_what, options, retryAfterMillis) => {
    const exporter = fakeExporter('encoded', ({ names: [name] }) =>
      name === 'bad' ? retryable(retryAfterMillis) : 'delivered',
    )
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1, circuitBreaker: false, ...options })
    end(processor, 'bad', 'good')
    for (let i = 0; i < 10; i++) {
      const request = new Request()
      await settledBy(
        request.run(() => processor.flush()),
        3_000,
      )
      request.end()
    }
    expect(expectBalance(processor)).toMatchObject({
      exported: 1,
      dropped: { retry_exhausted: 1 },
      pending: 0,
    })
  })

  it('B33: spans that fill a batch do not cut the backoff short', async () => {
    const exporter = fakeExporter('encoded', () => retryable())
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1, circuitBreaker: false })
    for (let i = 0; i < 100; i++) {
      new Request().run(() => end(processor, `span-${i}`))
      await vi.advanceTimersByTimeAsync(5)
    }
    expect(exporter.batches).toHaveLength(1)
  })

  it('B28: stock exporters stay serial, across requests, too', async () => {
    const exporter = gatedExporter('stock')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a', 'b')
    const first = new Request().run(() => processor.flush())
    const second = new Request().run(() => processor.flush())
    await vi.advanceTimersByTimeAsync(300)
    expect(exporter.batches).toHaveLength(1)
    exporter.batches[0]!.release()
    await vi.advanceTimersByTimeAsync(300)
    exporter.batches[1]!.release()
    expect(await settledBy(second, 500)).toMatchObject({ status: 'success' })
    expect(await first).toMatchObject({ status: 'success', exported: 2 })
    expect(exporter.mostRunning).toBe(1)
  })

  it('B28, B51: a stock export whose request died is given up, and nobody waits for it any more', async () => {
    const exporter = gatedExporter('stock')
    const processor = sharedProcessor(exporter, { exportTimeoutMillis: 10_000 })
    const cancelled = new Request()
    end(processor, 'a')
    cancelled.run(() => processor.flush())
    await microtasks()
    cancelled.end()
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 60_000 }))
    await vi.advanceTimersByTimeAsync(6_000)
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(exporter.batches).toHaveLength(2)
    exporter.batches[1]!.release()
    expect(await settledBy(flushed, 1_000)).toMatchObject({ status: 'success' })
  })

  it('B9: without any patience it starts the drain, and returns the true state', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter)
    end(processor, 'a')
    const result = await new Request().run(() => processor.flush({ timeoutMillis: 0 }))
    expect(result).toMatchObject({ status: 'timeout', pending: 1 })
    await microtasks()
    expect(exporter.names).toEqual(['a'])
  })

  it('B13: waits for open spans, then covers them', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter)
    const span = spanNamed('late')
    processor.onStart(span)
    const flushed = new Request().run(() => processor.flush({ openSpans: 'wait' }))
    await vi.advanceTimersByTimeAsync(300)
    processor.onEnd(span)
    expect(await settledBy(flushed, 300)).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B11: shutdown gives up what is held, whoever holds it, and shuts the exporter down once', async () => {
    const exporter = hangingExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a', 'b')
    const flushed = new Request().run(() => processor.flush({ timeoutMillis: 5_000 }))
    await microtasks()
    const shutdown = new Request().run(() => processor.shutdown({ timeoutMillis: 100 }))
    await settledBy(shutdown, 100)
    expect(expectBalance(processor)).toMatchObject({ dropped: { shutdown_timeout: 2 }, pending: 0 })
    expect(await settledBy(flushed, 5_000)).toMatchObject({ dropped: 2 })
    expect(exporter.shutdowns).toBe(1)
  })

  it('B11: shutdown sends what waits first', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter)
    end(processor, 'a')
    await new Request().run(() => processor.shutdown())
    expect(exporter.names).toEqual(['a'])
    expect(exporter.shutdowns).toBe(1)
    end(processor, 'b')
    expect(await new Request().run(() => processor.flush())).toMatchObject({ status: 'success', exported: 0 })
    expect(exporter.batches).toHaveLength(1)
  })
})

describe('without a flush', () => {
  it('B51: no timer is ever started', async () => {
    const processor = sharedProcessor(deliveringExporter('encoded'))
    new Request().run(() => end(processor, 'a'))
    await microtasks()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B51: a full batch is sent under the waitUntil of the request that filled it, once', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2 })
    const request = new Request()
    request.run(() => end(processor, ...names(6)))
    expect(exporter.batches).toHaveLength(0)
    await microtasks()
    expect(exporter.batches).toHaveLength(1)
    expect(request.waits).toHaveLength(1)
    for (let i = 0; i < 3; i++) {
      exporter.batches[i]!.release()
      await microtasks()
    }
    expect(await hasSettled(request.waits[0]!)).toBe(true)
    expect(exporter.names).toEqual(names(6))
  })

  it('B51: what ends while that is being sent follows under the same waitUntil', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2, flushOnRootEnd: true })
    const request = new Request()
    request.run(() => end(processor, 'a', 'b'))
    await microtasks()
    request.run(() => end(processor, 'root'))
    exporter.batches[0]!.release()
    await microtasks()
    exporter.batches[1]!.release()
    await microtasks()
    expect(exporter.names).toEqual(['a', 'b', 'root'])
    expect(request.waits).toHaveLength(1)
    expect(await hasSettled(request.waits[0]!)).toBe(true)
  })

  it('B51: a local root that ends is sent under the waitUntil of its request', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter, { flushOnRootEnd: true })
    const request = new Request()
    request.run(() => end(processor, 'root'))
    await microtasks()
    expect(exporter.names).toEqual(['root'])
    expect(request.waits).toHaveLength(1)
  })

  it('B51: a full batch outside of any request waits for one', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(6))
    await microtasks()
    expect(exporter.batches).toHaveLength(0)
    await new Request().run(() => processor.flush())
    expect(exporter.names).toEqual(names(6))
  })

  it('B51: a request that will not wait any more strands nothing', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = sharedProcessor(exporter, { maxExportBatchSize: 2 })
    const request = new Request()
    request.waitUntil = () => {
      throw new TypeError('Illegal invocation')
    }
    request.run(() => end(processor, ...names(2)))
    await microtasks()
    expect(expectBalance(processor)).toMatchObject({ ended: 2, pending: 2, inFlight: 0 })
    expect(await new Request().run(() => processor.flush())).toMatchObject({ status: 'success', exported: 2 })
  })
})

describe('one drain loop for all, in a runtime that kills timers all the same', () => {
  it('B28: later flushes reclaim a lease whose attempt can never end by itself', async () => {
    const exporter = gatedExporter('encoded')
    const processor = sharedProcessor(exporter, { requestScoped: false, exportTimeoutMillis: 10_000 })
    const dead = new Request()
    end(processor, 'a')
    dead.run(() => processor.flush())
    await microtasks()
    dead.end()
    const flush = () => new Request().run(() => processor.flush({ timeoutMillis: 1_000 }))
    for (let i = 0; i < 4; i++) {
      await settledBy(flush(), 1_000)
      await vi.advanceTimersByTimeAsync(1_000)
    }
    // The first look that found it silent was 4 s ago: it may yet be a process that has just thawed.
    expect(exporter.batches).toHaveLength(1)
    await settledBy(flush(), 1_000)
    const flushed = flush()
    await microtasks()
    expect(exporter.batches.map((batch) => batch.names)).toEqual([['a'], ['a']])
    expect(exporter.batches[0]!.attempt!.signal.aborted).toBe(true)
    exporter.batches[1]!.release()
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
  })
})

describe('the runtime is recognised', () => {
  it('as Workers by what only they have, whatever the compatibility date', async () => {
    const exporter = deliveringExporter('encoded')
    vi.stubGlobal('WebSocketPair', class {})
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, 'a')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(exporter.batches).toHaveLength(0)
  })

  it('and may be overruled', async () => {
    const exporter = deliveringExporter('encoded')
    vi.stubGlobal('WebSocketPair', class {})
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 1, requestScoped: false })
    end(processor, 'a')
    await microtasks()
    expect(exporter.batches).toHaveLength(1)
  })
})
