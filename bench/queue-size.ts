/**
 * Does `onEnd` cost more with a larger queue, or a full one? A queue is full when every further span drops the oldest,
 * which is what is measured there: its exporter hangs. The one of an empty queue takes everything every 1,024 spans.
 */
import { OTLPTraceExporter, BatchSpanProcessor as Processor } from 'tailrace'
import type { PipelineExporter } from '../src/types.ts'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { encodedSide, pipelineExporter } from './harness/encoded-side.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { median } from './harness/statistics.ts'
import { turnsFlatLine } from './harness/turns.ts'

const SIZES = [2048, 1_000_000]
const STRETCH_SPANS = 1024
/** In one turn. */
const STRETCHES = 24
const WARM_UP_SPANS = 50_000
const VARIANTS = SIZES.flatMap((size) => ['empty', 'full'].map((state) => `${size} ${state}`))

function createProcessor(maxQueueSize: number, isHanging: boolean): Processor {
  const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' })
  const side = encodedSide(exporter)
  const target: PipelineExporter = {
    description: side.description,
    maxRequestBytes: side.maxRequestBytes,
    createEncoder: () => side.createEncoder(),
    async send(batch) {
      if (isHanging) return new Promise<never>(() => {})
      // As after a request that has been written to its end.
      batch.readers = 0
      return { kind: 'delivered', rejected: 0 }
    },
    shutdown: () => side.shutdown(),
  }
  Object.assign(exporter, { [pipelineExporter]: () => target })
  return new Processor(exporter, { maxQueueSize, maxQueueBytes: 2 ** 31 - 1, scheduledDelayMillis: 0 })
}

const turns: StartTurns = async (variant) => {
  const [size, state] = variant.split(' ')
  const maxQueueSize = Number(size)
  const isFull = state === 'full'
  const spans = spansOf('realistic', CORPUS_SPANS)
  const processor = createProcessor(maxQueueSize, isFull)
  let next = 0
  const end = (count: number): void => {
    for (let i = 0; i < count; i++) processor.onEnd(spans[next++ % CORPUS_SPANS] as never)
  }
  async function stretch(): Promise<number> {
    const start = performance.now()
    end(STRETCH_SPANS)
    const millis = performance.now() - start
    const { pending } = processor.stats()
    if (isFull ? pending < maxQueueSize : pending !== STRETCH_SPANS)
      throw new Error(`${pending} spans are pending`)
    if (!isFull) await processor.forceFlush()
    return (millis * 1000) / STRETCH_SPANS
  }
  if (isFull) end(maxQueueSize + STRETCH_SPANS)
  for (let ended = 0; ended < WARM_UP_SPANS; ended += STRETCH_SPANS) await stretch()
  const { dropped, failed } = processor.stats()
  if (failed > 0 || dropped.queue_full > 0 !== isFull)
    throw new Error(`${dropped.queue_full} spans are dropped`)
  return async () => {
    const stretches: number[] = []
    while (stretches.length < STRETCHES) stretches.push(await stretch())
    return median(stretches)
  }
}

export const question: Question = {
  name: 'queue-size',
  title: 'onEnd with a queue for 2,048 or 1,000,000 spans, empty or full',
  turns,
  async ask(bench) {
    const rounds = await bench.turns(VARIANTS, bench.isQuick ? 10 : 30)
    return [turnsFlatLine('slowest above fastest', rounds, VARIANTS)]
  },
}
