/**
 * `npm run soak`: the model tests with one random seed after the other, and once in a while a real outage of 60 seconds,
 * until it is stopped (Ctrl-C), or until something fails: then it prints the seed, and exits with 1.
 *
 * TAILRACE_SEED sets the first seed; TAILRACE_SOAK_OUTAGE_SECONDS shortens the outage.
 */
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { BatchSpanProcessor } from '../../src/processor.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { bytesInUse, numberedSpan, numbersIn } from './outage.ts'
import { runSequences } from './property.ts'
import { runRequestSequences } from './requests/property.ts'

const SEQUENCES_PER_SEED = 2000
const SEEDS_PER_OUTAGE = 20
const OUTAGE_SECONDS = Number(process.env.TAILRACE_SOAK_OUTAGE_SECONDS ?? 60)
const SPANS_PER_SECOND = 1000
const MIB = 1024 * 1024

let isStopped = false
process.once('SIGINT', () => {
  console.log('stopping after this seed')
  isStopped = true
})

/** Real sockets, real time: the collector is gone for a minute, and comes back. Returns what is wrong, if anything. */
async function realOutage(): Promise<string | undefined> {
  const collector = await startCollector()
  await collector.stop()
  const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url: collector.url }), {
    circuitBreaker: { probeIntervalMillis: 2000 },
  })
  let number = 0
  let bytesEarly = 0
  const micros: number[] = []
  const startedAt = performance.now()
  for (let second = 1; second <= OUTAGE_SECONDS && !isStopped; second++) {
    const spans = Array.from({ length: SPANS_PER_SECOND }, () => numberedSpan(number++))
    const before = performance.now()
    for (const span of spans) processor.onEnd(span)
    micros.push(((performance.now() - before) * 1000) / SPANS_PER_SECOND)
    // The queue has overflowed, the breaker has opened, the code is warm.
    if (second === Math.ceil(OUTAGE_SECONDS / 3)) bytesEarly = bytesInUse()
    await sleep(startedAt + second * 1000 - performance.now())
  }
  const grown = bytesInUse() - bytesEarly
  // The cheapest of many seconds is what it costs when nobody else wants the machine.
  const third = Math.ceil(micros.length / 3)
  const early = Math.min(...micros.slice(third, 2 * third))
  const late = Math.min(...micros.slice(2 * third))
  const held = processor.stats().pending
  await collector.start()
  // The breaker's next probe, and everything behind it.
  await sleep(5000)
  const { status } = await processor.flush({ timeoutMillis: 10_000 })
  await processor.shutdown()
  await collector.stop()

  const received = collector.requests.flatMap((request) => numbersIn(request.body))
  const stats = processor.stats()
  console.log(
    `outage of ${OUTAGE_SECONDS} s: ${number} spans, ${held} held, heap ${Math.round(grown / 1024)} KiB, onEnd ${early.toFixed(1)} µs, then ${late.toFixed(1)}`,
  )
  if (isStopped) return undefined
  if (grown > 2 * MIB) return `the heap grew by ${grown} bytes`
  if (late > 2 * early)
    return `onEnd took ${early} µs in the second third of the outage, and ${late} in the last`
  if (status !== 'success') return `the flush after the outage was a ${status}`
  if (received.length !== held || new Set(received).size !== held) {
    return `${received.length} spans (${new Set(received).size} different ones) arrived of ${held} held`
  }
  if (Math.max(...received) !== number - 1) return 'the newest span has not arrived'
  if (stats.exported + stats.dropped.queue_full !== number) return `the books: ${JSON.stringify(stats)}`
  return undefined
}

async function soak(): Promise<string | undefined> {
  let seed = Number(process.env.TAILRACE_SEED ?? randomInt(2 ** 31))
  let sequenceCount = 0
  for (let round = 0; !isStopped; round++) {
    if (round % SEEDS_PER_OUTAGE === 0) {
      const wrong = await realOutage()
      if (wrong !== undefined) return `real outage: ${wrong}`
      if (isStopped) break
    }
    const { coverage, failure } = await runSequences(seed, SEQUENCES_PER_SEED)
    if (failure !== undefined) return `seed ${seed}\n${failure}`
    const requests = await runRequestSequences(seed, SEQUENCES_PER_SEED / 4)
    if (requests.failure !== undefined) return `requests, seed ${seed}\n${requests.failure}`
    sequenceCount += coverage.lengths.length + requests.coverage.lengths.length
    console.log(`seed ${seed}: ${sequenceCount} sequences so far, median length ${coverage.medianLength}`)
    seed = randomInt(2 ** 31)
  }
  return undefined
}

soak().then((failure) => {
  if (failure !== undefined) console.error(failure)
  process.exit(failure === undefined ? 0 : 1)
})
