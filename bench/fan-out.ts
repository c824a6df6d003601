/** What does a second destination cost, encoded alike? CPU of the whole pipeline, without a network. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { OTLPTraceExporter, BatchSpanProcessor as Processor } from 'tailrace'
import { fanOut } from 'tailrace/fan-out'
import type { PipelineExporter } from '../src/types.ts'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { encodedSide, pipelineExporter } from './harness/encoded-side.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { median } from './harness/statistics.ts'

const WARM_UP_SPANS = 100_000
const SPANS_A_LOOP = 256
const SPANS_A_TURN = 50_000
const ONE = 'one destination'
const SHARED = 'two by fanOut'
const APART = 'two processors'

/** An exporter that takes everything at once. */
function createExporter(): OTLPTraceExporter {
  const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' })
  const side = encodedSide(exporter)
  const taking: PipelineExporter = {
    description: side.description,
    maxRequestBytes: side.maxRequestBytes,
    createEncoder: () => side.createEncoder(),
    async send(batch) {
      batch.readers = 0
      return { kind: 'delivered', rejected: 0 }
    },
    shutdown: () => side.shutdown(),
  }
  return Object.assign(exporter, { [pipelineExporter]: () => taking })
}

const turns: StartTurns = async (variant) => {
  const spans = spansOf('realistic', CORPUS_SPANS)
  const exporters =
    variant === SHARED
      ? [fanOut([createExporter(), createExporter()])]
      : Array.from({ length: variant === APART ? 2 : 1 }, createExporter)
  const processors = exporters.map((exporter) => new Processor(exporter, { maxQueueBytes: 2 ** 31 - 1 }))
  let ended = 0
  async function run(count: number): Promise<number> {
    const before = process.cpuUsage()
    for (const end = ended + count; ended < end; ) {
      for (let i = Math.min(SPANS_A_LOOP, end - ended); i > 0; i--) {
        const span = spans[ended++ % CORPUS_SPANS] as never
        for (const processor of processors) processor.onEnd(span)
      }
      await nextTurn()
    }
    for (const processor of processors) {
      const { status } = await processor.flush()
      const { ended: all, exported } = processor.stats()
      if (status !== 'success' || exported !== all) throw new Error(`${all} ended, ${exported} exported`)
    }
    const { user, system } = process.cpuUsage(before)
    return (user + system) / count
  }
  await run(WARM_UP_SPANS)
  return () => run(SPANS_A_TURN)
}

export const question: Question = {
  name: 'fan-out',
  title: 'CPU per span for two destinations, without a network',
  turns,
  async ask(bench) {
    const variants = [ONE, SHARED, APART]
    const rounds = await bench.turns(variants, bench.isQuick ? 2 : 8)
    const samples = Object.fromEntries(
      variants.map((variant) => [variant, rounds.map((round) => median(round[variant] as number[]))]),
    )
    const more = (variant: string) =>
      rounds.map((_, i) => ((samples[variant] as number[])[i] / (samples[ONE] as number[])[i] - 1) * 100)
    return [SHARED, APART].map((variant) => ({
      label: `${variant}, more than one`,
      unit: 'µs CPU',
      samples: { [ONE]: samples[ONE] as number[], [variant]: samples[variant] as number[] },
      figures: more(variant),
      figureUnit: '%' as const,
      ...(variant === SHARED && { goal: { required: 75, sense: 'at most' as const } }),
      isRatioToStock: false,
    }))
  },
}
