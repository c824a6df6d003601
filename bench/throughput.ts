/**
 * How many spans a second reach a local receiver with one request in flight? The processor is fed with spans that have
 * ended before, as fast as it takes them, so that the pipeline is all that is measured.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { Pipeline, type PipelineName } from './harness/pipelines.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const WARM_UP_MILLIS = 2000
const SPANS_A_TURN = 256
const WAITING_MAX = 2048 - SPANS_A_TURN

const measure: Measure = async (variant, { url, millis }) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const pipeline = new Pipeline(variant as PipelineName, { url: url as string })
  let ended = 0
  async function feed(duration: number): Promise<void> {
    const end = performance.now() + duration
    while (performance.now() < end) {
      for (let i = 0; i < SPANS_A_TURN; i++) pipeline.processor.onEnd(spans[ended++ % CORPUS_SPANS])
      await nextTurn()
      await pipeline.room(ended, WAITING_MAX)
    }
  }
  await feed(WARM_UP_MILLIS)
  const start = performance.now()
  const deliveredBefore = pipeline.delivered
  await feed(millis as number)
  const perSecond = ((pipeline.delivered - deliveredBefore) / (performance.now() - start)) * 1000
  await pipeline.close(ended)
  return { perSecond, delivered: pipeline.delivered }
}

export const question: Question = {
  name: 'throughput',
  title: 'spans delivered per second to a local receiver, one request in flight',
  measure,
  async ask(bench) {
    const options = { settings: { millis: bench.isQuick ? 1500 : 4000 }, receiver: 'count' } as const
    const rounds = await bench.rounds(['stock', 'tailrace'], options)
    const floors = await bench.rounds(['floor'], options)
    const stock = column(rounds, 'stock', 'perSecond')
    const tailrace = column(rounds, 'tailrace', 'perSecond')
    const floor = column(floors, 'floor', 'perSecond')
    const line: Line = {
      label: 'more',
      unit: '/s',
      samples: { stock, tailrace, floor },
      atFloor: floor.map((perSecond, i) => perSecond / stock[i]),
      figures: tailrace.map((perSecond, i) => perSecond / stock[i]),
      figureUnit: '×',
      goal: { required: 3, aim: 4, sense: 'at least' },
      isRatioToStock: true,
    }
    return [line]
  },
}
