/** Does a span cost more when there are more of them? CPU of the whole pipeline, without a network. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { Pipeline } from './harness/pipelines.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { turnsFlatLine } from './harness/turns.ts'

const COUNTS = [1_000, 10_000, 100_000, 1_000_000]
const WARM_UP_SPANS = 100_000
/** Spans that end between two turns of the event loop, and those of a turn that is measured, at least. */
const SPANS_A_LOOP = 256
const SPANS_A_TURN = 50_000

const turns: StartTurns = async (variant) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const pipeline = new Pipeline('tailrace')
  let ended = 0
  async function run(count: number): Promise<number> {
    const before = process.cpuUsage()
    for (const end = ended + count; ended < end; ) {
      for (let i = Math.min(SPANS_A_LOOP, end - ended); i > 0; i--) {
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
  return async () => {
    // A turn is long enough to be measured.
    const runs = Math.max(1, SPANS_A_TURN / count)
    let sum = 0
    for (let i = 0; i < runs; i++) sum += await run(count)
    return sum / runs
  }
}

export const question: Question = {
  name: 'scaling',
  title: 'CPU per span at 1,000 to 1,000,000 spans, without a network',
  turns,
  async ask(bench) {
    const variants = COUNTS.map(String)
    const rounds = await bench.turns(variants, bench.isQuick ? 2 : 6)
    return [turnsFlatLine('dearest above cheapest', rounds, variants)]
  },
}
