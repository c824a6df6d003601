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

/** @param variant - `all` that are compared, or a part of a pipeline, which has a process of its own with a no-op. */
export async function measureSegments(variant: string, { url, segments, seed }: Settings): Promise<Sample> {
  const recipes = recipesOf('realistic')
  const names: readonly PipelineName[] = variant === 'all' ? PIPELINES : ['no-op', variant as PipelineName]
  const contenders = names.map((name) => {
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

/**
 * The lines of a question that is answered by segments: what is above no-op, and what a part of ours is of it. The part is
 * measured in other processes, afterwards: they are compared by what they cost in no-ops.
 */
export async function segmentsLines(
  bench: Bench,
  goal: { required: number; aim: number },
  part: 'encoding alone' | 'floor',
  receiver?: RoundOptions['receiver'],
): Promise<Line[]> {
  const options = { settings: { segments: bench.isQuick ? 6 : 30 }, ...(receiver && { receiver }) }
  const rounds = await bench.rounds(['all'], options)
  const costs = Object.fromEntries(PIPELINES.map((name) => [name, column(rounds, 'all', name)]))
  const above = (name: PipelineName): number[] => costs[name].map((cost, i) => cost - costs['no-op'][i])
  /** The same in no-ops. */
  const excess = (rounds: readonly Round[], variant: string, name: PipelineName): number[] =>
    rounds.map((round) => round[variant][name] / round[variant]['no-op'] - 1)
  const line: Line = {
    label: 'above no-op',
    unit: 'µs CPU',
    samples: costs,
    figures: above('stock').map((stock, i) => stock / above('tailrace')[i]),
    figureUnit: '×',
    goal: { ...goal, sense: 'at least' },
    isRatioToStock: true,
  }
  if (bench.isQuick) return [line]
  const partRounds = await bench.rounds([part], options)
  const ours = excess(rounds, 'all', 'tailrace')
  const parts = excess(partRounds, part, part)
  const share: Line = {
    label: `of it ${part}`,
    unit: 'µs CPU',
    samples: { 'no-op': column(partRounds, part, 'no-op'), [part]: column(partRounds, part, part) },
    figures: parts.map((cost, i) => (cost / ours[i]) * 100),
    figureUnit: '%',
    isRatioToStock: false,
  }
  const atPart = excess(rounds, 'all', 'stock').map((stock, i) => stock / parts[i])
  return [{ ...line, ...(part === 'floor' && { atFloor: atPart }) }, share]
}
