/**
 * What if every name, key and value is different, and every request has a scope of its own? Caches must not make it
 * slower than the stock SDK, and must not grow.
 */
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { variedTrace } from './corpus/cardinality.ts'
import { createProvider, Player, processorOf } from './corpus/spans.ts'
import { corpusTraces } from './corpus.ts'
import { bytesInUse } from './harness/memory.ts'
import { Pipeline, type PipelineName } from './harness/pipelines.ts'
import { column, type Line, type Measure, type Question, ratioLine } from './harness/question.ts'

const SPANS_A_TURN = 256

/** Traces that have never been seen, as many as one likes. */
function* hostileSpans(): Generator<ReadableSpan[]> {
  for (let seed = 1; ; seed++) {
    let spans: ReadableSpan[] = []
    let trace = 0
    for (const recipe of corpusTraces(seed)) {
      const provider = createProvider(processorOf((span) => spans.push(scoped(span, `${seed}.${trace}`))))
      new Player(provider).play(variedTrace(recipe, 'hostile'))
      // Every 16th trace has a scope of its own.
      if (spans.length >= SPANS_A_TURN) {
        yield spans
        spans = []
        trace++
      }
    }
  }
}

/** The span in a scope that others do not have. */
function scoped(span: ReadableSpan, version: string): ReadableSpan {
  return Object.defineProperty(span, 'instrumentationScope', {
    value: { ...span.instrumentationScope, version },
    enumerable: true,
  })
}

const measure: Measure = async (variant, { spans: total }) => {
  const pipeline = new Pipeline(variant as PipelineName)
  let ended = 0
  let cpu = 0
  let counted = 0
  let early = 0
  const warmUp = (total as number) / 4
  for (const spans of hostileSpans()) {
    const before = process.cpuUsage()
    for (const span of spans) pipeline.processor.onEnd(span)
    ended += spans.length
    await pipeline.flush(ended)
    const { user, system } = process.cpuUsage(before)
    if (early > 0) {
      cpu += user + system
      counted += spans.length
    } else if (ended >= warmUp) {
      early = await bytesInUse()
    }
    if (ended >= (total as number)) break
  }
  const late = await bytesInUse()
  await pipeline.close(ended)
  return { microsPerSpan: cpu / counted, grownKib: (late - early) / 1024 }
}

export const question: Question = {
  name: 'hostile-cardinality',
  title: 'every name, key and value different, and new scopes all the time',
  measure,
  async ask(bench) {
    const spans = bench.isQuick ? 60_000 : 200_000
    const rounds = await bench.rounds(['stock', 'tailrace'], {
      settings: { spans },
      nodeOptions: ['--expose-gc'],
    })
    const grown: Line = {
      label: `memory grown between ${spans / 4000},000 and ${spans / 1000},000 spans`,
      unit: 'KiB',
      samples: {
        stock: column(rounds, 'stock', 'grownKib'),
        tailrace: column(rounds, 'tailrace', 'grownKib'),
      },
      figures: column(rounds, 'tailrace', 'grownKib'),
      figureUnit: 'KiB',
      goal: { required: 512, sense: 'at most' },
      isRatioToStock: false,
    }
    return [ratioLine('CPU per span', 'µs CPU', rounds, 'microsPerSpan', { required: 1 }), grown]
  },
}
