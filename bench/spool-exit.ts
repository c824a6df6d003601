/**
 * How long does it take to get 10,000 spans out at the end of a process whose backend is away: to disk by a shutdown, which
 * tries to send first, or at once, as at an exit? And over the network, by the helper thread, with a backend that is there?
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushOnExit, flushSync } from 'tailrace/node'
import { spool } from 'tailrace/spool'
import { createProvider, recipesOf, Stream } from './corpus/spans.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const SPANS = 10_000
/** Nobody listens there. */
const NOBODY = 'http://127.0.0.1:9/v1/traces'

const measure: Measure = async (variant, { url = NOBODY }) => {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-'))
  const inner = new OTLPTraceExporter({ url: url as string })
  const exporter = url === NOBODY ? spool(inner, { directory }) : inner
  const processor = new BatchSpanProcessor(exporter, {
    maxQueueSize: 2 * SPANS,
    maxQueueBytes: 2 ** 30,
    scheduledDelayMillis: 600_000,
    // Nothing leaves before its time, but in batches of the usual size.
    maxExportBatchSize: 512,
    circuitBreaker: { failureThreshold: 1 },
  })
  const rssBefore = process.memoryUsage.rss()
  const preparingAt = performance.now()
  const stop = flushOnExit(processor)
  const prepareMillis = performance.now() - preparingAt
  await delay(500)
  const threadBytes = process.memoryUsage.rss() - rssBefore
  // In one go: the loop wakes only when this is over.
  new Stream(createProvider(processor), recipesOf('realistic')).playUntil(SPANS)
  const startedAt = performance.now()
  if (variant === 'shutdown') await processor.shutdown()
  else flushSync(processor, { timeoutMillis: 30_000 })
  const millis = performance.now() - startedAt
  stop()
  const { ended, exported, spooled = 0 } = processor.stats()
  if (exported + spooled !== ended) throw new Error(`${ended} ended, ${exported + spooled} got out`)
  rmSync(directory, { recursive: true })
  return { millis, prepareMillis, threadBytes, delivered: exported }
}

export const question: Question = {
  name: 'spool-exit',
  title: 'getting out 10,000 queued spans at the end of a process',
  measure,
  async ask(bench) {
    const toDisk = await bench.rounds(['shutdown', 'exit'])
    const toBackend = await bench.rounds(['network'], { receiver: 'count' })
    const line = (label: string, unit: 'ms' | 'MB', figures: number[], required?: number): Line => ({
      label,
      unit,
      samples: { tailrace: figures },
      figures,
      figureUnit: unit,
      ...(required !== undefined && { goal: { required, sense: 'at most' as const } }),
      isRatioToStock: false,
    })
    const megabytes = column(toBackend, 'network', 'threadBytes').map((bytes) => bytes / 1e6)
    return [
      line('to disk, by shutdown', 'ms', column(toDisk, 'shutdown', 'millis'), 200),
      line('to disk, by flushSync', 'ms', column(toDisk, 'exit', 'millis'), 200),
      line('over loopback, by flushSync', 'ms', column(toBackend, 'network', 'millis')),
      line('flushOnExit itself, which starts a thread', 'ms', column(toBackend, 'network', 'prepareMillis')),
      line('memory of that thread', 'MB', megabytes),
    ]
  },
}
