/** Does a span cost more when there are more of them? CPU of the whole pipeline, without a network. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { flatLine } from './harness/flatness.ts'
import { Pipeline } from './harness/pipelines.ts'
import type { Measure, Question } from './harness/question.ts'
import { median } from './harness/statistics.ts'

const COUNTS = [1_000, 10_000, 100_000, 1_000_000]
const WARM_UP_SPANS = 100_000
const SPANS_A_TURN = 256

const measure: Measure = async (variant, { runs }) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const pipeline = new Pipeline('tailrace')
  let ended = 0
  async function run(count: number): Promise<number> {
    const before = process.cpuUsage()
    for (const end = ended + count; ended < end; ) {
      for (let i = Math.min(SPANS_A_TURN, end - ended); i > 0; i--) {
        pipeline.processor.onEnd(spans[ended++ % CORPUS_SPANS])
      }
      await nextTurn()
    }
    await pipeline.flush(ended)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / count
  }
  await run(WARM_UP_SPANS)
  const count = Number(variant)
  const samples: number[] = []
  // As many runs as make up the same number of spans.
  for (let i = Math.max(1, (COUNTS[3] / count) * (runs as number)); i > 0; i--) samples.push(await run(count))
  await pipeline.close(ended)
  return {
    microsPerSpan: count < 100_000 ? samples.reduce((a, b) => a + b) / samples.length : median(samples),
  }
}

export const question: Question = {
  name: 'scaling',
  title: 'CPU per span at 1,000 to 1,000,000 spans, without a network',
  measure,
  async ask(bench) {
    const variants = COUNTS.map(String)
    const rounds = await bench.rounds(variants, { settings: { runs: bench.isQuick ? 0.2 : 1 } })
    return [flatLine('dearest above cheapest', rounds, variants)]
  },
}
