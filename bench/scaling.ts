/** Does a span cost more when there are more of them? CPU of the whole pipeline, without a network. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { Pipeline } from './harness/pipelines.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { turnsFlatLine } from './harness/turns.ts'

const COUNTS = [1_000, 10_000, 100_000, 1_000_000]
/** As many as the longest run has, so that the compilers are done with all of them. */
const WARM_UP_SPANS = 1_000_000
/** Spans that end between two turns of the event loop. */
const SPANS_A_LOOP = 256
/** Those of a turn that is measured: several short runs, or a part of a long one, which the next turn goes on with. */
const SPANS_A_TURN = 50_000

const turns: StartTurns = async (variant) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const pipeline = new Pipeline('tailrace')
  const spansInRun = Number(variant)
  let ended = 0
  async function run(count: number): Promise<void> {
    for (const end = ended + count; ended < end; ) {
      for (let i = Math.min(SPANS_A_LOOP, end - ended); i > 0; i--) {
        pipeline.processor.onEnd(spans[ended++ % CORPUS_SPANS])
      }
      await nextTurn()
    }
  }
  async function turn(): Promise<number> {
    const before = process.cpuUsage()
    for (let left = SPANS_A_TURN; left > 0; left -= spansInRun) {
      await run(Math.min(left, spansInRun))
      if (ended % spansInRun === 0) await pipeline.flush(ended)
    }
    const { user, system } = process.cpuUsage(before)
    return (user + system) / SPANS_A_TURN
  }
  while (ended < WARM_UP_SPANS) await turn()
  return turn
}

export const question: Question = {
  name: 'scaling',
  title: 'CPU per span in runs of 1,000 to 1,000,000 spans, without a network',
  turns,
  async ask(bench) {
    const variants = COUNTS.map(String)
    const rounds = await bench.turns(variants, bench.isQuick ? 5 : WARM_UP_SPANS / SPANS_A_TURN)
    return [turnsFlatLine('dearest above cheapest', rounds, variants)]
  },
}
