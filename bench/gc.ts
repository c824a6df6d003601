/** How long does the garbage collector stop the program while 150,000 spans go out over HTTP? */
import { PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { createProvider, recipesOf, Stream } from './corpus/spans.ts'
import { playPaced } from './harness/pace.ts'
import { PIPELINES, Pipeline, type PipelineName } from './harness/pipelines.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const WARM_UP_SPANS = 20_000

const measure: Measure = async (variant, { url, spans }) => {
  const recipes = recipesOf('realistic')
  const pipeline = new Pipeline(variant as PipelineName, { url: url as string })
  const stream = new Stream(createProvider(pipeline.processor), recipes)
  await playPaced(stream, pipeline, WARM_UP_SPANS)
  let gcMillis = 0
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) gcMillis += duration
  })
  observer.observe({ entryTypes: ['gc'] })
  const begun = stream.count
  await playPaced(stream, pipeline, begun + (spans as number))
  const count = stream.count - begun
  await delay(20)
  observer.disconnect()
  await pipeline.close(stream.count)
  return {
    gcMillis: (gcMillis / count) * (spans as number),
    delivered: variant === 'no-op' ? 0 : pipeline.delivered,
  }
}

export const question: Question = {
  name: 'gc',
  title: 'garbage collection while 150,000 spans go out over HTTP',
  measure,
  async ask(bench) {
    const settings = { spans: bench.isQuick ? 50_000 : 150_000 }
    const rounds = await bench.rounds(PIPELINES, { settings, receiver: 'count' })
    const samples = Object.fromEntries(
      PIPELINES.map((name) => [name, column(rounds, name, 'gcMillis')]),
    ) as Record<PipelineName, number[]>
    const noop = samples['no-op']
    const aboveNoop: Line = {
      label: 'less above no-op',
      unit: 'ms',
      samples,
      figures: noop.map((base, i) => (samples.stock[i] - base) / Math.max(samples.tailrace[i] - base, 0.1)),
      figureUnit: '×',
      ...(bench.nodeMajor < 24 && { goal: { required: 5, sense: 'at least' } as const }),
      isRatioToStock: true,
    }
    const ofNoop: Line = {
      label: 'total against no-op',
      unit: 'ms',
      samples,
      figures: noop.map((base, i) => samples.tailrace[i] / base),
      figureUnit: '×',
      ...(bench.nodeMajor >= 24 && { goal: { required: 1.2, aim: 1, sense: 'at most' } as const }),
      isRatioToStock: false,
    }
    return [aboveNoop, ofNoop]
  },
}
