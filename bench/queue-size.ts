/**
 * Does `onEnd` cost more with a larger queue, or a full one? The exporter hangs; a queue is full when every further
 * span drops the oldest, which is what is measured here. Empty, it is begun anew every 1,024 spans.
 */
import { OTLPTraceExporter, BatchSpanProcessor as Processor } from 'tailrace'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { encodedSide } from './harness/pipelines.ts'
import type { Question, StartTurns } from './harness/question.ts'
import { median } from './harness/statistics.ts'
import { turnsFlatLine } from './harness/turns.ts'

const SIZES = [2048, 1_000_000]
const STRETCH_SPANS = 1024
/** In one turn. */
const STRETCHES = 24
const WARM_UP_SPANS = 50_000
const VARIANTS = SIZES.flatMap((size) => ['empty', 'full'].map((state) => `${size} ${state}`))

/** A processor of which no batch ever gets through. */
function createProcessor(maxQueueSize: number): Processor {
  const exporter = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' })
  const side = encodedSide(exporter)
  const hanging = {
    description: side.description,
    maxRequestBytes: side.maxRequestBytes,
    createEncoder: () => side.createEncoder(),
    send: () => new Promise<never>(() => {}),
    shutdown: () => side.shutdown(),
  }
  Object.assign(exporter, { 'tailrace.pipelineExporter': () => hanging })
  return new Processor(exporter, { maxQueueSize, maxQueueBytes: 2 ** 31 - 1, scheduledDelayMillis: 0 })
}

const turns: StartTurns = async (variant) => {
  const [size, state] = variant.split(' ')
  const maxQueueSize = Number(size)
  const spans = spansOf('realistic', CORPUS_SPANS)
  let next = 0
  let processor = createProcessor(maxQueueSize)
  const end = (count: number): void => {
    for (let i = 0; i < count; i++) processor.onEnd(spans[next++ % CORPUS_SPANS] as never)
  }
  const renew = async (): Promise<void> => {
    await processor.shutdown({ timeoutMillis: 0 })
    processor = createProcessor(maxQueueSize)
  }
  for (let ended = 0; ended < WARM_UP_SPANS; ended += STRETCH_SPANS) {
    end(STRETCH_SPANS)
    if (state === 'empty') await renew()
  }
  if (state === 'full') {
    end(maxQueueSize + STRETCH_SPANS)
    const { pending, dropped } = processor.stats()
    if (pending < maxQueueSize || dropped.queue_full === 0) throw new Error(`${pending} spans are pending`)
  }
  async function stretch(): Promise<number> {
    // What a new processor learns from its first spans is no cost of a queue.
    if (state === 'empty') end(STRETCH_SPANS / 2)
    const start = performance.now()
    end(STRETCH_SPANS / 2)
    const millis = performance.now() - start
    const { pending } = processor.stats()
    if (state === 'empty' ? pending !== STRETCH_SPANS : pending < maxQueueSize)
      throw new Error(`${pending} spans are pending`)
    if (state === 'empty') await renew()
    return (millis * 1000) / (STRETCH_SPANS / 2)
  }
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
