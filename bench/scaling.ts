/** Does a span cost more when there are more of them? CPU of the whole pipeline, without a network. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { Pipeline } from './harness/pipelines.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { turnsFlatLine } from './harness/turns.ts'

const COUNTS = [1_000, 10_000, 100_000, 1_000_000]
/** In another pipeline, so that the compilers are done. */
const WARM_UP_SPANS = 1_000_000
/** What a new pipeline learns from its first spans, and the memory that they take, is no cost of those that follow. */
const LEARNING_SPANS = 5_000
/** Spans that end between two turns of the event loop. */
const SPANS_A_LOOP = 256
/** Those of a turn that is measured: short runs in a new pipeline, or a part of a long one, which the next turn goes on with. */
const SPANS_A_TURN = 50_000

/** A pipeline, and how many spans have ended in it. */
class Run {
  readonly #spans: ReadableSpan[]
  readonly #pipeline = new Pipeline('tailrace')
  #ended = 0

  constructor(spans: ReadableSpan[]) {
    this.#spans = spans
  }

  async end(count: number): Promise<void> {
    for (const end = this.#ended + count; this.#ended < end; ) {
      for (let i = Math.min(SPANS_A_LOOP, end - this.#ended); i > 0; i--)
        this.#pipeline.processor.onEnd(this.#spans[this.#ended++ % CORPUS_SPANS])
      await nextTurn()
    }
  }

  flush(): Promise<void> {
    return this.#pipeline.flush(this.#ended)
  }

  close(): Promise<void> {
    return this.#pipeline.close(this.#ended)
  }
}

const turns: StartTurns = async (variant) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const spansInRun = Number(variant)
  let run = new Run(spans)
  await run.end(WARM_UP_SPANS)
  await run.flush()
  let left = 0

  /** Spans of one run, to whose end belongs a flush. */
  async function part(): Promise<void> {
    const count = Math.min(spansInRun, SPANS_A_TURN)
    await run.end(count)
    left -= count
    if (left % spansInRun === 0) await run.flush()
  }
  return async () => {
    if (left === 0) {
      await run.close()
      run = new Run(spans)
      await run.end(LEARNING_SPANS)
      await run.flush()
      left = Math.max(spansInRun, SPANS_A_TURN)
    }
    const before = process.cpuUsage()
    for (let i = Math.max(1, SPANS_A_TURN / spansInRun); i > 0; i--) await part()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / SPANS_A_TURN
  }
}

export const question: Question = {
  name: 'scaling',
  title: 'CPU per span in runs of 1,000 to 1,000,000 spans, without a network',
  turns,
  async ask(bench) {
    const variants = COUNTS.map(String)
    // As many as a run of the longest takes.
    const rounds = await bench.turns(variants, bench.isQuick ? 5 : 20)
    return [turnsFlatLine('dearest above cheapest', rounds, variants)]
  },
}
