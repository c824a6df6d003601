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
import type { Bench, Line, RoundOptions, Sample, Settings } from './question.ts'
import { column } from './question.ts'

const SEGMENT_SPANS = 4096

/** What a pipeline of ours cannot do without: with a receiver a request for each batch, otherwise encoding. */
const partOf = (hasReceiver: boolean): PipelineName => (hasReceiver ? 'bare requests' : 'only encoder')

/** Who takes turns in a process. The part is measured in another one, so that it changes nothing about the comparison. */
const contendersOf = (variant: string, hasReceiver: boolean): readonly PipelineName[] =>
  variant === 'all' ? PIPELINES : ['no-op', 'tailrace', partOf(hasReceiver)]

export async function measureSegments(variant: string, { url, segments, seed }: Settings): Promise<Sample> {
  const recipes = recipesOf('realistic')
  const names = contendersOf(variant, url !== undefined)
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

/** The lines of a question that is answered by segments: what is above no-op, and the part of it. */
export async function segmentsLines(
  bench: Bench,
  label: string,
  goal: { required: number; aim: number },
  receiver?: RoundOptions['receiver'],
): Promise<Line[]> {
  const rounds = await bench.rounds(['all', 'part'], {
    settings: { segments: bench.isQuick ? 6 : 30 },
    ...(receiver && { receiver }),
  })
  const part = partOf(receiver !== undefined)
  /** What a pipeline costs above no-op in the same process. */
  const above = (variant: string, name: PipelineName): number[] =>
    rounds.map((round) => round[variant][name] - round[variant]['no-op'])
  const samplesOf = (variant: string): Record<string, number[]> =>
    Object.fromEntries(
      contendersOf(variant, receiver !== undefined).map((name) => [name, column(rounds, variant, name)]),
    )
  const ours = above('all', 'tailrace')
  const oursBesidePart = above('part', 'tailrace')
  return [
    {
      label,
      unit: 'µs CPU',
      samples: samplesOf('all'),
      figures: above('all', 'stock').map((stock, i) => stock / ours[i]),
      figureUnit: '×',
      goal: { ...goal, sense: 'at least' },
      isRatioToStock: true,
    },
    {
      label: `of it ${part}`,
      unit: 'µs CPU',
      samples: samplesOf('part'),
      figures: above('part', part).map((cost, i) => (cost / oursBesidePart[i]) * 100),
      figureUnit: '%',
      isRatioToStock: false,
    },
  ]
}
