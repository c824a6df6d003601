/**
 * How late is everything else when spans end at a high, fixed rate? 10,000 spans a second arrive with a timer of 1 ms;
 * what a blocked loop has held up arrives at once when it goes on, as requests would. The delay is that of
 * `monitorEventLoopDelay`, which includes its own resolution of 1 ms.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createProvider, recipesOf, Stream } from './corpus/spans.ts'
import { PIPELINES, Pipeline, type PipelineName } from './harness/pipelines.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const SPANS_A_MILLI = 10
const WARM_UP_MILLIS = 3000
/** The stock queue holds 2,048 while a request is on its way; nobody may drop anything here. */
const MAX_QUEUE_SIZE = 16_384

const measure: Measure = async (variant, { url, millis }) => {
  const recipes = recipesOf('realistic')
  const pipeline = new Pipeline(variant as PipelineName, {
    url: url as string,
    options: { maxQueueSize: MAX_QUEUE_SIZE },
  })
  const stream = new Stream(createProvider(pipeline.processor), recipes)
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  const start = performance.now()
  const end = WARM_UP_MILLIS + (millis as number)
  let isMeasuring = false
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - start
      if (elapsed >= end) {
        histogram.disable()
        clearInterval(timer)
        resolve()
        return
      }
      if (!isMeasuring && elapsed >= WARM_UP_MILLIS) {
        isMeasuring = true
        histogram.enable()
      }
      stream.playUntil(Math.floor(elapsed * SPANS_A_MILLI))
    }, 1)
  })
  // What waits goes out by itself first: the stock exporter fails when a flush begins more than 30 requests at once.
  await pipeline.room(stream.count, 2048)
  await pipeline.close(stream.count)
  return {
    p99Millis: histogram.percentile(99) / 1e6,
    delivered: variant === 'no-op' ? 0 : pipeline.delivered,
  }
}

export const question: Question = {
  name: 'loop-delay',
  title: `event-loop delay, 99th percentile, at ${SPANS_A_MILLI * 1000} spans a second over HTTP`,
  measure,
  async ask(bench) {
    const settings = { millis: bench.isQuick ? 3000 : 8000 }
    const rounds = await bench.rounds(PIPELINES, { settings, receiver: 'count' })
    const samples = Object.fromEntries(
      PIPELINES.map((name) => [name, column(rounds, name, 'p99Millis')]),
    ) as Record<PipelineName, number[]>
    const { stock, tailrace } = samples
    const belowStock: Line = {
      label: 'below stock',
      unit: 'ms',
      samples,
      figures: stock.map((delay, i) => delay / tailrace[i]),
      figureUnit: '×',
      goal: { required: 2.5, sense: 'at least' },
      isRatioToStock: true,
    }
    const ofNoop: Line = {
      label: 'against no-op',
      unit: 'ms',
      samples,
      figures: tailrace.map((delay, i) => delay / samples['no-op'][i]),
      figureUnit: '×',
      goal: { required: 1.5, aim: 1, sense: 'at most' },
      isRatioToStock: false,
    }
    return [belowStock, ofNoop]
  },
}
