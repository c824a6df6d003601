/** What the loop does about failures, on a fake clock: the exporter answers by script. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { ExportError, type Outcome } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { fakeExporter, gatedExporter, retryable, scriptedExporter, tooLarge } from '../helpers/exporters.ts'
import { droppedIn, expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { end, names } from '../helpers/processors.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

/** No chance in the backoff, so that both sides of it can be shown. */
const STEADY = { jitter: 0 }

const NEVER = { scheduledDelayMillis: 0 }

const down: Outcome = retryable()
const up: Outcome = { kind: 'delivered', rejected: 0 }

beforeEach(() => {
  vi.useFakeTimers()
})

/** Forward, and everything that follows from it. */
async function pass(millis: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(millis)
}

describe('backoff', () => {
  test('B33: the waits are 1 s, 1.5 s, 2.25 s, and never before their time', async () => {
    const exporter = scriptedExporter([down, down, down])
    const processor = watchedProcessor(exporter, { ...NEVER, retry: STEADY })
    end(processor, 'a')
    const flushed = processor.flush({ timeoutMillis: 60_000 })
    for (const wait of [1000, 1500, 2250]) {
      const attempts = exporter.batches.length
      await pass(wait - 1)
      expect(exporter.batches).toHaveLength(attempts)
      await pass(1)
      expect(exporter.batches).toHaveLength(attempts + 1)
    }
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
  })

  test('B33: the waits stay within 20 % either way and below 6 s, and are not all alike', async () => {
    const times: number[] = []
    const exporter = fakeExporter('encoded', () => {
      times.push(performance.now())
      return down
    })
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1, circuitBreaker: false })
    end(processor, 'a')
    await pass(300_000)
    const waits = times.slice(1).map((time, i) => time - times[i]!)
    const expected = waits.map((_, i) => Math.min(1000 * 1.5 ** i, 5000))
    waits.forEach((wait, i) => {
      // Timers fire on whole milliseconds.
      expect(wait).toBeGreaterThanOrEqual(expected[i]! * 0.8 - 1)
      expect(wait).toBeLessThanOrEqual(expected[i]! * 1.2 + 1)
    })
    expect(waits.length).toBeGreaterThan(40)
    expect(new Set(waits.slice(10).map(Math.round)).size).toBeGreaterThan(20)
  })

  test('B33: Retry-After is a floor that a flush does not cut short', async () => {
    const exporter = scriptedExporter([retryable(10_000)])
    const processor = watchedProcessor(exporter, { ...NEVER, retry: STEADY })
    end(processor, 'a')
    void processor.flush({ timeoutMillis: 60_000 })
    await pass(9_999)
    void processor.flush({ timeoutMillis: 60_000 })
    await microtasks()
    expect(exporter.batches).toHaveLength(1)
    await pass(1)
    expect(exporter.batches).toHaveLength(2)
  })

  test('B33: a Retry-After beyond the caller’s deadline ends its wait at once, with the batch pending', async () => {
    const exporter = scriptedExporter([retryable(60_000)])
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, 'a')
    const result = await settledBy(processor.flush({ timeoutMillis: 5_000 }), 0)
    expect(result).toMatchObject({ status: 'failure', pending: 1, failed: 0, dropped: 0 })
    expect(result.error).toMatchObject({ code: 'http_status', status: 503 })
    await pass(60_000)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B7: a flush cuts the backoff short', async () => {
    const exporter = scriptedExporter([down])
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1 })
    end(processor, 'a')
    await pass(1)
    expect(exporter.batches).toHaveLength(1)
    const result = await settledBy(processor.flush(), 0)
    expect(result).toMatchObject({ status: 'success', exported: 1 })
  })

  test('B7: shutdown in a backoff tries once, settles by its deadline, and nothing is sent afterwards', async () => {
    const exporter = fakeExporter('encoded', () => down)
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1 })
    end(processor, 'a', 'b')
    await pass(1)
    expect(exporter.batches).toHaveLength(1)
    const stopped = processor.shutdown({ timeoutMillis: 500 })
    await pass(500)
    expect(await hasSettled(stopped)).toBe(true)
    expect(exporter.batches).toHaveLength(2)
    await pass(600_000)
    expect(exporter.batches).toHaveLength(2)
    expect(exporter.shutdowns).toBe(1)
    expect(processor.stats().dropped.shutdown_timeout).toBe(2)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('B33: shutdown tries once more although Retry-After is longer than its deadline', async () => {
    const exporter = scriptedExporter([retryable(60_000)])
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ status: 'failure', pending: 1 })
    await settledBy(processor.shutdown({ timeoutMillis: 1000 }), 0)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B33: an answer ends the delay that the server asked for', async () => {
    const exporter = scriptedExporter([retryable(10_000)])
    const processor = watchedProcessor(exporter, { ...NEVER, maxExportBatchSize: 1 })
    end(processor, ...names(2))
    const flushed = processor.flush({ timeoutMillis: 60_000 })
    await pass(10_000)
    expect(await flushed).toMatchObject({ status: 'success', exported: 2 })
  })

  test('B7: shutdown has an attempt of its own, after the one that was on its way', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, 'a')
    void processor.flush({ timeoutMillis: 60_000 })
    const stopped = processor.shutdown({ timeoutMillis: 800 })
    exporter.batches[0]!.release(down)
    await microtasks()
    expect(exporter.batches).toHaveLength(2)
    exporter.batches[1]!.release(up)
    await stopped
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B7: a shutdown that is out of time aborts the request under way', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, 'a')
    const stopped = processor.shutdown({ timeoutMillis: 100 })
    const { signal } = exporter.batches[0]!.attempt!
    await pass(99)
    expect(signal.aborted).toBe(false)
    await pass(1)
    await stopped
    expect(signal.aborted).toBe(true)
  })

  test('B30: a shutdown that comes while a resource is waited for still sends', async () => {
    const exporter = fakeExporter('encoded', () => up, { whenResourcesSettle: () => new Promise(() => {}) })
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1 })
    end(processor, 'a')
    await pass(100)
    expect(exporter.batches).toHaveLength(0)
    await settledBy(processor.shutdown({ timeoutMillis: 2000 }), 1000)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B34: attempts and waits of a batch stay within exportTimeoutMillis', async () => {
    const timeouts: number[] = []
    const started = performance.now()
    const exporter = fakeExporter('encoded', ({ attempt }) => {
      timeouts.push(performance.now() - started + attempt!.timeoutMillis)
      return new Promise((resolve) => {
        attempt!.signal.addEventListener('abort', () => resolve(down))
      })
    })
    const processor = watchedProcessor(exporter, { ...NEVER, exportTimeoutMillis: 1500, retry: STEADY })
    end(processor, 'a')
    void processor.flush({ timeoutMillis: 100_000 })
    await pass(1499)
    expect(exporter.batches[0]!.attempt!.signal.aborted).toBe(false)
    await pass(1)
    expect(exporter.batches[0]!.attempt!.signal.aborted).toBe(true)
    expect(timeouts).toEqual([1500])
  })

  test('B32: retry false sends nothing twice', async () => {
    const exporter = scriptedExporter([down])
    const processor = watchedProcessor(exporter, { ...NEVER, retry: false })
    end(processor, 'a', 'b')
    expect(await processor.flush()).toMatchObject({ status: 'failure', dropped: 2, pending: 0 })
    await pass(600_000)
    expect(exporter.batches).toHaveLength(1)
    expect(processor.stats().dropped.retry_exhausted).toBe(2)
  })
})

describe('batches that are too large', () => {
  test('B35: a batch is halved until it passes, and nothing is lost', async () => {
    const exporter = fakeExporter('encoded', (batch) => (batch.names.length > 3 ? tooLarge() : up))
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, ...names(20))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 20 })
    const accepted = exporter.batches.filter((batch) => batch.names.length <= 3)
    expect(accepted.flatMap((batch) => batch.names)).toEqual(names(20))
    expect(exporter.mostRunning).toBe(1)
  })

  test('B35: only the one span that is too large alone is dropped', async () => {
    const exporter = fakeExporter('encoded', (batch) => (batch.names.includes('span-5') ? tooLarge() : up))
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, ...names(20))
    expect(await processor.flush()).toMatchObject({ status: 'failure', exported: 19, dropped: 1 })
    expect(processor.stats().dropped.span_too_large).toBe(1)
  })

  test('B16: the halves of a batch are not the waiting spans’ to push out', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { ...NEVER, maxQueueSize: 10, maxExportBatchSize: 10 })
    end(processor, ...names(10, 'first-'))
    const flushed = processor.flush({ timeoutMillis: 60_000 })
    end(processor, ...names(10, 'second-'))
    exporter.batches[0]!.release(tooLarge())
    await microtasks()
    expect(expectBalance(processor)).toMatchObject({ pending: 20, inFlight: 10 })
    for (let i = 1; i <= 3; i++) {
      exporter.batches[i]?.release(up)
      await microtasks()
    }
    expect(await flushed).toMatchObject({ status: 'success', exported: 10, dropped: 0 })
    expect(droppedIn(processor.stats())).toBe(0)
  })
})

describe('partial success', () => {
  test('B36: rejected spans are counted, reported once and never sent again', async () => {
    const onError = vi.fn()
    const exporter = scriptedExporter([{ kind: 'delivered', rejected: 3, message: 'too old' }])
    const processor = watchedProcessor(exporter, { ...NEVER, onError })
    end(processor, ...names(10))
    const result = await processor.flush()
    expect(result).toMatchObject({ status: 'failure', exported: 7, rejected: 3, pending: 0 })
    expect(result.error).toMatchObject({
      code: 'partial_success',
      message: expect.stringContaining('too old'),
    })
    expect(onError).toHaveBeenCalledTimes(1)
    await pass(600_000)
    expect(exporter.batches).toHaveLength(1)
  })

  test('B36: a flush that the batch touches hears of all rejections', async () => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, NEVER)
    end(processor, 'a')
    // The first batch holds up the next one, which takes `b` and `c` together.
    const first = processor.flush({ timeoutMillis: 60_000 })
    end(processor, 'b')
    const second = processor.flush({ timeoutMillis: 60_000 })
    end(processor, 'c')
    exporter.batches[0]!.release(up)
    expect(await first).toMatchObject({ status: 'success', exported: 1, rejected: 0 })
    exporter.batches[1]!.release({ kind: 'delivered', rejected: 1 })
    expect(exporter.batches[1]!.names).toEqual(['b', 'c'])
    expect(await second).toMatchObject({ status: 'failure', exported: 1, rejected: 1, pending: 0 })
  })
})

describe('the circuit breaker', () => {
  const BREAKER = { failureThreshold: 5, probeIntervalMillis: 30_000 }

  test('B38: after five failures timers and size triggers send nothing until the probe', async () => {
    const exporter = fakeExporter('encoded', () => down)
    const processor = watchedProcessor(exporter, {
      scheduledDelayMillis: 1000,
      maxExportBatchSize: 10,
      retry: STEADY,
      circuitBreaker: BREAKER,
    })
    end(processor, ...names(10))
    // 1 + 1.5 + 2.25 + 3.375 s.
    await pass(8125)
    expect(exporter.batches).toHaveLength(5)
    end(processor, ...names(100, 'more-'))
    await pass(29_999)
    expect(exporter.batches).toHaveLength(5)
    await pass(1)
    // Its attempts are used up: the neighbour that came meanwhile goes along with the probe.
    expect(exporter.batches).toHaveLength(7)
    await pass(29_999)
    expect(exporter.batches).toHaveLength(7)
    await pass(1)
    expect(exporter.batches).toHaveLength(8)
    expect(processor.stats()).toMatchObject({ pending: 110 })
  })

  test('B38: while it is open a flush settles at once with circuit_open, and costs the backend nothing', async () => {
    const exporter = fakeExporter('encoded', () => down)
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1000, circuitBreaker: BREAKER })
    end(processor, 'a')
    await pass(25_000)
    for (let i = 0; i < 100; i++) {
      const result = await settledBy(processor.flush({ timeoutMillis: 60_000 }), 0)
      expect(result).toMatchObject({ status: 'failure', pending: 1, error: { code: 'circuit_open' } })
    }
    expect(exporter.batches).toHaveLength(5)
  })

  test('B38: one flush at most is the probe; those that come meanwhile settle at once', async () => {
    let answer: (outcome: Outcome) => void = () => {}
    const exporter = fakeExporter('encoded', (_, index) =>
      index < 1 ? down : new Promise((resolve) => (answer = resolve)),
    )
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 1000 },
    })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ error: { code: 'circuit_open' } })
    await pass(999)
    expect(exporter.batches).toHaveLength(1)
    await pass(1)
    expect(exporter.batches).toHaveLength(2)
    const meanwhile = await settledBy(processor.flush({ timeoutMillis: 60_000 }), 0)
    expect(meanwhile).toMatchObject({ status: 'failure', pending: 1, error: { code: 'circuit_open' } })
    answer(up)
    await microtasks()
    expect(processor.stats()).toMatchObject({ exported: 1 })
  })

  test('B38: a success closes it', async () => {
    const exporter = scriptedExporter([down, down])
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      circuitBreaker: { failureThreshold: 2, probeIntervalMillis: 1000 },
    })
    end(processor, 'a')
    void processor.flush({ timeoutMillis: 60_000 })
    await pass(10_000)
    end(processor, 'b')
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 1 })
  })

  test('B38: shutdown tries although it is open', async () => {
    const exporter = scriptedExporter([down])
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 60_000 },
    })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ error: { code: 'circuit_open' } })
    await settledBy(processor.shutdown(), 0)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B38: final answers do not open it: the backend is there', async () => {
    const exporter = fakeExporter('encoded', () => 'failed')
    const processor = watchedProcessor(exporter, { ...NEVER, maxExportBatchSize: 1 })
    end(processor, ...names(50))
    expect(await processor.flush()).toMatchObject({ status: 'failure', failed: 50, pending: 0 })
  })
})

describe('the rate limit', () => {
  test('B39: never more exports than it says, whoever asks; spans wait', async () => {
    const times: number[] = []
    const exporter = fakeExporter('encoded', () => {
      times.push(performance.now())
      return up
    })
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      maxExportBatchSize: 1,
      rateLimit: { maxExportsPerSecond: 4 },
    })
    end(processor, ...names(20))
    for (let i = 0; i < 20; i++) void processor.flush({ timeoutMillis: 60_000 })
    await pass(2000)
    expect(processor.stats().pending).toBeGreaterThan(8)
    await pass(60_000)
    expect(times).toHaveLength(20)
    for (let i = 1; i < 20; i++) expect(times[i]! - times[i - 1]!).toBeGreaterThanOrEqual(250)
  })
})

describe('an outage and a poison batch', () => {
  test('B57: in an outage nothing is dropped but what the caps push out, and the rest is delivered in order', async () => {
    let isUp = false
    const exporter = fakeExporter('encoded', () => (isUp ? up : down))
    const processor = watchedProcessor(exporter, {
      scheduledDelayMillis: 1000,
      maxQueueSize: 100,
      maxExportBatchSize: 10,
    })
    for (let i = 0; i < 300; i++) {
      end(processor, `span-${i}`)
      await pass(200)
    }
    const { dropped, pending } = expectBalance(processor)
    expect(dropped).toMatchObject({ retry_exhausted: 0, queue_full: 300 - pending })
    expect(pending).toBeGreaterThanOrEqual(100)
    expect(pending).toBeLessThanOrEqual(110)
    const attempts = exporter.batches.length
    isUp = true
    await pass(60_000)
    const delivered = exporter.batches.slice(attempts).flatMap((batch) => batch.names)
    // What was on its way when the queue filled up is the oldest; the rest is the newest that the caps allow.
    expect(delivered.slice(-100)).toEqual(names(300).slice(-100))
    expect(delivered).toHaveLength(pending)
    expect(delivered).toEqual(names(300).filter((name) => delivered.includes(name)))
    expect(exporter.mostRunning).toBe(1)
    expect(processor.stats()).toMatchObject({ pending: 0, exported: pending })
  })

  test('B57: an outage of a single batch outlasts its attempts and loses nothing', async () => {
    let isUp = false
    const exporter = fakeExporter('encoded', () => (isUp ? up : down))
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 1000, circuitBreaker: false })
    end(processor, 'a')
    await pass(600_000)
    expect(exporter.batches.length).toBeGreaterThan(100)
    isUp = true
    await pass(10_000)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0 })
  })

  test('B58: a batch that alone keeps failing is given up after its attempts; those behind it are delivered', async () => {
    const onDrop = vi.fn()
    const exporter = fakeExporter('encoded', (batch) => (batch.names.includes('poison') ? down : up))
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      maxExportBatchSize: 2,
      retry: STEADY,
      onDrop,
    })
    end(processor, 'poison', 'beside', ...names(6))
    const flushed = processor.flush({ timeoutMillis: 60_000 })
    // 1 + 1.5 + 2.25 s: four attempts with their waits; then its neighbour, and its last attempt, at once.
    await pass(4750)
    expect(await flushed).toMatchObject({ status: 'failure', exported: 6, dropped: 2, pending: 0 })
    expect(processor.stats().dropped.retry_exhausted).toBe(2)
    expect(onDrop).toHaveBeenCalledWith({ reason: 'retry_exhausted', count: 2 })
    expect(exporter.batches.filter((batch) => batch.names.includes('poison'))).toHaveLength(5)
  })

  test('B38: a neighbour that has to decide goes along with the probe, and nothing else does', async () => {
    const times: number[] = []
    const exporter = fakeExporter('encoded', () => {
      times.push(performance.now())
      return down
    })
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      maxExportBatchSize: 1,
      circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 30_000 },
    })
    end(processor, ...names(3))
    const started = performance.now()
    void processor.flush()
    await pass(299_999)
    const periods = times.map((time) => Math.round((time - started) / 30_000))
    expect(periods).toEqual([0, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9])
    expect(exporter.names.map((name) => Number(name.at(-1)))).toEqual([0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0])
  })

  test('B58: two poison batches, one behind the other, do not hold up the healthy ones', async () => {
    const exporter = fakeExporter('encoded', (batch) => (batch.names[0]!.startsWith('poison') ? down : up))
    const processor = watchedProcessor(exporter, { ...NEVER, maxExportBatchSize: 1, circuitBreaker: false })
    end(processor, 'poison-1', 'poison-2', ...names(3))
    const flushed = processor.flush({ timeoutMillis: 100_000 })
    await pass(60_000)
    expect(await flushed).toMatchObject({ exported: 3, dropped: 2, pending: 0 })
    expect(processor.stats().dropped.retry_exhausted).toBe(2)
  })

  test('B58: a poison batch that was alone opens the breaker for no longer than until the next probe', async () => {
    const exporter = fakeExporter('encoded', (batch) => (batch.names[0] === 'poison' ? down : up))
    const processor = watchedProcessor(exporter, { ...NEVER, maxExportBatchSize: 1 })
    end(processor, 'poison')
    void processor.flush({ timeoutMillis: 60_000 })
    await pass(20_000)
    end(processor, 'healthy')
    expect(await processor.flush()).toMatchObject({ error: { code: 'circuit_open' } })
    await pass(30_000)
    expect(processor.stats()).toMatchObject({ exported: 1, pending: 0, dropped: { retry_exhausted: 1 } })
  })

  test('B58: a batch whose neighbour fails too is not given up', async () => {
    let isUp = false
    const exporter = fakeExporter('encoded', () => (isUp ? up : down))
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      maxExportBatchSize: 1,
      circuitBreaker: false,
    })
    end(processor, ...names(3))
    void processor.flush({ timeoutMillis: 1_000_000 })
    await pass(300_000)
    expect(droppedIn(processor.stats())).toBe(0)
    // The oldest first, and its neighbour only once its own attempts are used up.
    expect(exporter.batches.slice(0, 6).map((batch) => batch.names[0])).toEqual([
      'span-0',
      'span-0',
      'span-0',
      'span-0',
      'span-1',
      'span-0',
    ])
    isUp = true
    await pass(30_000)
    expect(processor.stats()).toMatchObject({ exported: 3, pending: 0 })
  })

  test('B16: a suspect that is put back counts as waiting, and gives way like any other', async () => {
    const exporter = fakeExporter('encoded', (batch) => (batch.names[0]!.startsWith('old') ? down : up))
    const processor = watchedProcessor(exporter, {
      ...NEVER,
      maxQueueSize: 4,
      maxExportBatchSize: 4,
      retry: STEADY,
    })
    end(processor, ...names(4, 'old-'))
    void processor.flush({ timeoutMillis: 60_000 })
    end(processor, ...names(4, 'new-'))
    expect(expectBalance(processor)).toMatchObject({ pending: 8, inFlight: 4 })
    await pass(60_000)
    expect(processor.stats()).toMatchObject({ exported: 4, pending: 0 })
    expect(droppedIn(processor.stats())).toBe(4)
  })
})

describe('what is told', () => {
  test('B49: onError hears of a second outage within a minute, the log of one line', async () => {
    const lines = captureDiag()
    const onError = vi.fn()
    const refusal: Outcome = { kind: 'final', error: new ExportError('network', 'refused') }
    const exporter = fakeExporter('encoded', (_batch, index) => (index % 2 === 0 ? refusal : 'delivered'))
    const processor = watchedProcessor(exporter, { onError })
    for (let outage = 1; outage <= 2; outage++) {
      end(processor, `a${outage}`)
      await processor.flush()
      expect(onError).toHaveBeenCalledTimes(outage)
      end(processor, `b${outage}`)
      expect(await processor.flush()).toMatchObject({ status: 'success' })
    }
    expect(lines.filter((line) => line.includes('export failed'))).toHaveLength(1)
  })

  test('B49: in an outage onError hears of the change of state, not of every failure', async () => {
    const onError = vi.fn()
    let answer: Outcome = down
    const exporter = fakeExporter('encoded', () => answer)
    const processor = watchedProcessor(exporter, {
      scheduledDelayMillis: 1000,
      circuitBreaker: false,
      onError,
    })
    end(processor, 'a')
    await pass(300_000)
    expect(exporter.batches.length).toBeGreaterThan(50)
    expect(onError).toHaveBeenCalledTimes(1)
    answer = { kind: 'retryable', error: new ExportError('network', 'refused') }
    await pass(60_000)
    expect(onError).toHaveBeenCalledTimes(2)
    answer = up
    await pass(10_000)
    answer = down
    end(processor, 'b')
    await pass(60_000)
    expect(onError).toHaveBeenCalledTimes(3)
  })
})

test('B34: exportTimeoutMillis 0 is no limit', async () => {
  const exporter = gatedExporter('encoded')
  const processor = watchedProcessor(exporter, { ...NEVER, exportTimeoutMillis: 0 })
  end(processor, 'a')
  const flushed = processor.flush({ timeoutMillis: 1_000_000 })
  await pass(900_000)
  expect(exporter.batches).toHaveLength(1)
  exporter.batches[0]!.release()
  expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
})
