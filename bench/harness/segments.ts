/**
 * CPU per span of whole pipelines. Between processes it varies more than what is measured (JIT, heap layout), so all
 * pipelines live in one process and take turns, in segments of random order; what a no-op processor costs is
 * subtracted. A round is such a process.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../corpus/random.ts'
import { createProvider, recipesOf, Stream } from '../corpus/spans.ts'
import { playPaced } from './pace.ts'
import { PIPELINES, Pipeline, type PipelineName } from './pipelines.ts'
import type { Bench, Line, Round, RoundOptions, Sample, Settings } from './question.ts'
import { column } from './question.ts'

const SEGMENT_SPANS = 4096

export async function measureSegments(_variant: string, { url, segments, seed }: Settings): Promise<Sample> {
  const recipes = recipesOf('realistic')
  const contenders = PIPELINES.map((name) => {
    const pipeline = new Pipeline(name, { url: url as string | undefined })
    return {
      name,
      pipeline,
      stream: new Stream(createProvider(pipeline.processor), recipes),
      cpu: 0,
      spans: 0,
    }
  })
  const random = new Random(seed as number)
  async function round(): Promise<void> {
    for (const contender of random.shuffle([...contenders])) {
      const { stream, pipeline } = contender
      const spansBefore = stream.count
      const before = process.cpuUsage()
      await playPaced(stream, pipeline, stream.count + SEGMENT_SPANS)
      const { user, system } = process.cpuUsage(before)
      contender.cpu += user + system
      contender.spans += stream.count - spansBefore
    }
  }
  for (let i = 0; i < 8; i++) await round()
  // The compilers finish what they have begun.
  await delay(300)
  for (const contender of contenders) contender.cpu = contender.spans = 0
  for (let i = 0; i < (segments as number); i++) await round()
  const sample: Sample = {}
  let delivered = 0
  for (const { name, pipeline, stream, cpu, spans } of contenders) {
    await pipeline.close(stream.count)
    sample[name] = cpu / spans
    if (name !== 'no-op') delivered += pipeline.delivered
  }
  return { ...sample, delivered }
}

/** The line of a question that is answered by segments. */
export async function segmentsLine(
  bench: Bench,
  label: string,
  goal: { required: number; aim: number },
  receiver?: RoundOptions['receiver'],
): Promise<Line> {
  const rounds: Round[] = []
  // One variant, so one process a round.
  for (const round of await bench.rounds(['all'], {
    settings: { segments: bench.isQuick ? 6 : 30 },
    ...(receiver && { receiver }),
  })) {
    rounds.push(round)
  }
  const samples = Object.fromEntries(
    PIPELINES.map((name: PipelineName) => [name, column(rounds, 'all', name)]),
  ) as Record<PipelineName, number[]>
  return {
    label,
    unit: 'µs CPU',
    samples,
    figures: samples.stock.map(
      (stock, i) => (stock - samples['no-op'][i]) / (samples.tailrace[i] - samples['no-op'][i]),
    ),
    figureUnit: '×',
    goal: { ...goal, sense: 'at least' },
    isRatioToStock: true,
  }
}
