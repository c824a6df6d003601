/**
 * What does a spool cost while the backend answers? The same pipeline with and without one takes turns in one process, in
 * segments of random order, since processes differ by more than what is measured.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { spool } from 'tailrace/spool'
import { Random } from './corpus/random.ts'
import { createProvider, recipesOf, Stream } from './corpus/spans.ts'
import { column, type Measure, type Question } from './harness/question.ts'

const SEGMENT_SPANS = 4096
const BURST_SPANS = 1024

const measure: Measure = async (_variant, { url, segments, seed }) => {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-'))
  const recipes = recipesOf('realistic')
  const contenders = ['without', 'with'].map((name) => {
    const exporter = new OTLPTraceExporter({ url: url as string })
    const processor = new BatchSpanProcessor(name === 'with' ? spool(exporter, { directory }) : exporter, {
      maxQueueSize: 8192,
      scheduledDelayMillis: 0,
      flushTimeoutMillis: 30_000,
    })
    return { name, processor, stream: new Stream(createProvider(processor), recipes), cpu: 0, spans: 0 }
  })
  const random = new Random(seed as number)
  async function round(): Promise<void> {
    for (const contender of random.shuffle([...contenders])) {
      const { stream, processor } = contender
      const spansBefore = stream.count
      const before = process.cpuUsage()
      while (stream.count < spansBefore + SEGMENT_SPANS) {
        stream.playUntil(stream.count + BURST_SPANS)
        await processor.flush()
      }
      const { user, system } = process.cpuUsage(before)
      contender.cpu += user + system
      contender.spans += stream.count - spansBefore
    }
  }
  for (let i = 0; i < 8; i++) await round()
  await delay(300)
  for (const contender of contenders) contender.cpu = contender.spans = 0
  for (let i = 0; i < (segments as number); i++) await round()
  const sample: Record<string, number> = { delivered: 0 }
  for (const { name, processor, cpu, spans } of contenders) {
    await processor.shutdown()
    const { ended, exported } = processor.stats()
    if (exported !== ended) throw new Error(`${name}: ${ended} ended, ${exported} exported`)
    sample.delivered = (sample.delivered as number) + exported
    sample[name] = cpu / spans
  }
  const files = readdirSync(directory).length
  rmSync(directory, { recursive: true })
  if (files > 0) throw new Error(`${files} files were written`)
  return sample
}

export const question: Question = {
  name: 'spool-cost',
  title: 'CPU per span over HTTP with a spool, while the backend answers',
  measure,
  async ask(bench) {
    const settings = { segments: bench.isQuick ? 8 : 40 }
    const rounds = await bench.rounds(['all'], { settings, receiver: 'count' })
    const without = column(rounds, 'all', 'without')
    const withSpool = column(rounds, 'all', 'with')
    return [
      {
        label: 'more than without a spool',
        unit: 'µs CPU',
        samples: { without, with: withSpool },
        figures: withSpool.map((cpu, i) => 100 * (cpu / (without[i] as number) - 1)),
        figureUnit: '%',
        goal: { required: 2, sense: 'at most' },
        isRatioToStock: false,
      },
    ]
  },
}
