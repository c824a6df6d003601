/**
 * For how long at a stretch does a flush of 2,048 queued spans keep the event loop from everything else? The spans end in
 * one turn of the loop, just before the flush, and go in batches of 512, as both processors have it by default. The stock
 * one has exported the first batch by then, from within `span.end()`, which is not counted against it, and so has the floor.
 */
import { createProvider, recipesOf, Stream } from './corpus/spans.ts'
import { Pipeline, type PipelineName } from './harness/pipelines.ts'
import { type Measure, type Question, ratioLine } from './harness/question.ts'
import { median } from './harness/statistics.ts'

const QUEUED_SPANS = 2048
const WARM_UP_FLUSHES = 20

/** Looks at the clock at every turn of the loop until the work is done; answers with the longest turn. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  let isDone = false
  let longest = 0
  let last = performance.now()
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isDone) setImmediate(look)
  }
  setImmediate(look)
  await work()
  isDone = true
  look()
  return longest
}

const measure: Measure = async (variant, { url, flushes }) => {
  const recipes = recipesOf('realistic')
  // Whole traces are played: room for a few spans more.
  const options = { maxQueueSize: 2 * QUEUED_SPANS }
  const pipeline = new Pipeline(variant as PipelineName, { url: url as string, options })
  const stream = new Stream(createProvider(pipeline.processor), recipes)
  const blocks: number[] = []
  for (let i = 0; i < WARM_UP_FLUSHES + (flushes as number); i++) {
    stream.playUntil(stream.count + QUEUED_SPANS)
    const block = await longestBlock(() => pipeline.flush(stream.count))
    if (i >= WARM_UP_FLUSHES) blocks.push(block)
  }
  await pipeline.close(stream.count)
  return { blockMillis: median(blocks), delivered: pipeline.delivered }
}

export const question: Question = {
  name: 'flush-block',
  title: 'longest block of the event loop by a flush of 2,048 queued spans over HTTP',
  measure,
  async ask(bench) {
    const options = { settings: { flushes: bench.isQuick ? 10 : 30 }, receiver: 'count' } as const
    const rounds = await bench.rounds(['stock', 'tailrace'], options)
    const floors = await bench.rounds(['floor'], options)
    return [ratioLine('shorter', 'ms', rounds, 'blockMillis', { required: 25, aim: 40 }, floors)]
  },
}
