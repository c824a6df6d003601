/**
 * What does a queued span cost in memory, heap and buffers together? Spans are made from recipes that are not kept, so
 * that whoever keeps a span keeps its strings, too. A first processor warms up the code and is thrown away: segments
 * and caches of the second one count.
 */

import { createProvider, Player } from './corpus/spans.ts'
import { corpusTraces } from './corpus.ts'
import { bytesInUse } from './harness/memory.ts'
import { Pipeline, type PipelineName } from './harness/pipelines.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const WARM_UP_SPANS = 10_000

function fill(pipeline: Pipeline, seed: number, spans: number): number {
  const player = new Player(createProvider(pipeline.processor))
  let count = 0
  for (const recipe of corpusTraces(seed)) {
    if (count >= spans) break
    player.play(recipe)
    count += recipe.spans.length
  }
  return count
}

function createPipeline(name: PipelineName, size: number): Pipeline {
  const options = { maxQueueSize: size, maxExportBatchSize: size, scheduledDelayMillis: 600_000 }
  return new Pipeline(name, { options })
}

async function warmUp(name: PipelineName): Promise<void> {
  const pipeline = createPipeline(name, WARM_UP_SPANS * 2)
  await pipeline.close(fill(pipeline, 2, WARM_UP_SPANS))
}

const measure: Measure = async (variant, { spans }) => {
  await warmUp(variant as PipelineName)
  const before = await bytesInUse()
  // A few more than are needed for the last trace.
  const pipeline = createPipeline(variant as PipelineName, (spans as number) + 64)
  const count = fill(pipeline, 1, spans as number)
  const after = await bytesInUse()
  if (pipeline.delivered > 0) throw new Error('spans have left the queue')
  // Ours only: what the spans take by themselves, encoded.
  const encoded = pipeline.pendingBytes
  await pipeline.close(count)
  return { bytes: (after - before) / count, encodedBytes: encoded / count }
}

export const question: Question = {
  name: 'memory',
  title: 'memory retained per queued span: heap and buffers, segments and caches included',
  measure,
  async ask(bench) {
    const lines: Line[] = []
    for (const spans of [2048, 16_384]) {
      const options = { settings: { spans }, nodeOptions: ['--expose-gc'] }
      const rounds = await bench.rounds(['stock', 'tailrace'], options)
      const stock = column(rounds, 'stock', 'bytes')
      const tailrace = column(rounds, 'tailrace', 'bytes')
      const floor = column(rounds, 'tailrace', 'encodedBytes')
      lines.push({
        label: `${spans.toLocaleString('en')} queued, of stock`,
        unit: 'bytes',
        samples: { stock, tailrace, floor },
        atFloor: floor.map((bytes, i) => bytes / (stock[i] as number)),
        figures: tailrace.map((bytes, i) => bytes / (stock[i] as number)),
        figureUnit: '×',
        goal: { required: 0.5, aim: 0.4, sense: 'at most' },
        isRatioToStock: false,
      })
    }
    return lines
  },
}
