import { afterEach, expect, test } from 'vitest'
import { BatchSpanProcessor } from '../../src/processor.ts'
import { bytesInUse, countWork, numberedSpan, OutageExporter } from './outage.ts'
import { SimulatedClock, turn } from './simulated-clock.ts'

const HOUR_MILLIS = 3_600_000
const MINUTES_OF_MANY = 3
const MIB = 1024 * 1024
/** For most of the day, instead of 1,000: the queue overflows within minutes either way. */
const FEW_PER_SECOND = 10

let clock: SimulatedClock | undefined
afterEach(() => clock?.uninstall())

/** Ends spans for some time. Returns the number of the next one. */
async function endSpans(
  processor: BatchSpanProcessor,
  time: SimulatedClock,
  { millis, perSecond, from }: { millis: number; perSecond: number; from: number },
): Promise<number> {
  let number = from
  const settle = async () => {
    await turn()
    time.rested()
  }
  for (let passed = 0; passed < millis; passed += 1000) {
    for (let i = 0; i < perSecond; i++) processor.onEnd(numberedSpan(number++))
    await time.advance(1000, settle)
  }
  return number
}

test('B18: in 24 hours of outage the heap stays flat, span.end() does the same work, and the newest spans survive', {
  timeout: 120_000,
}, async () => {
  clock = new SimulatedClock(false)
  clock.install()
  const exporter = new OutageExporter()
  let dropsTold = 0
  const processor = new BatchSpanProcessor(exporter, {
    onDrop: ({ count }) => {
      dropsTold += count
    },
  })

  let number = await endSpans(processor, clock, { millis: HOUR_MILLIS, perSecond: FEW_PER_SECOND, from: 0 })
  const early = { bytes: bytesInUse(), sends: exporter.sendCount, timers: clock.timerCount }
  const earlyWork = countWork(() => {
    for (let i = 0; i < 1000; i++) processor.onEnd(numberedSpan(number++))
  })
  await turn()
  number = await endSpans(processor, clock, {
    millis: 22 * HOUR_MILLIS,
    perSecond: FEW_PER_SECOND,
    from: number,
  })
  const sendsBefore = exporter.sendCount
  number = await endSpans(processor, clock, {
    millis: HOUR_MILLIS - MINUTES_OF_MANY * 60_000,
    perSecond: FEW_PER_SECOND,
    from: number,
  })
  number = await endSpans(processor, clock, {
    millis: MINUTES_OF_MANY * 60_000,
    perSecond: 1000,
    from: number,
  })
  const late = { bytes: bytesInUse(), sends: exporter.sendCount - sendsBefore, timers: clock.timerCount }
  const lateWork = countWork(() => {
    for (let i = 0; i < 1000; i++) processor.onEnd(numberedSpan(number++))
  })
  await turn()

  expect(late.bytes - early.bytes).toBeLessThan(MIB)
  expect(lateWork).toEqual({ ...earlyWork, copies: expect.any(Number) })
  // A span is copied only where a segment ends.
  for (const { copies } of [earlyWork, lateWork]) expect(copies).toBeLessThan(1000 / 10)
  expect(late.timers).toBe(early.timers)
  // The breaker's probes, one in 30 s, and the neighbours that they are compared with.
  expect(late.sends).toBeLessThanOrEqual(2 * 120 + 2)
  const stats = processor.stats()
  expect(stats.ended).toBe(number)
  expect(stats.dropped.queue_full + stats.pending).toBe(number)
  expect(dropsTold).toBe(stats.dropped.queue_full)
  expect(stats.pending - stats.inFlight).toBe(2048)

  exporter.isDown = false
  await clock.advance(60_000, async () => {
    await turn()
    clock?.rested()
  })

  // Everything that was held, the newest 2,048 among it, in order but for the batch that was on its way.
  const { received } = exporter
  const newest = Array.from({ length: 2048 }, (_, i) => number - 2048 + i)
  expect(received.length).toBe(stats.pending)
  expect(received.slice(-2048)).toEqual(newest)
  expect(exporter.mostAtOnce).toBe(1)
  expect(Math.max(...exporter.batchSizes)).toBe(512)
  expect(processor.stats()).toMatchObject({ pending: 0, exported: received.length })
  expect(clock.timerCount).toBe(0)
})

test.each([2048, 100_000])(
  'B21: span.end() does the same work in a queue of %i, empty or full',
  async (maxQueueSize) => {
    clock = new SimulatedClock(false)
    clock.install()
    const exporter = new OutageExporter()
    const processor = new BatchSpanProcessor(exporter, {
      maxQueueSize,
      maxQueueBytes: 2 ** 30,
      maxExportBatchSize: maxQueueSize,
      scheduledDelayMillis: 0,
    })
    let number = 0
    const endOne = () => countWork(() => processor.onEnd(numberedSpan(number++)))
    endOne()

    const empty = endOne()
    while (number < maxQueueSize - 2) processor.onEnd(numberedSpan(number++))
    const almostFull = endOne()

    expect(almostFull).toEqual({ ...empty, copies: expect.any(Number) })
    expect(almostFull.headerReads + almostFull.headerWrites + almostFull.copies).toBeLessThan(20)
  },
)
