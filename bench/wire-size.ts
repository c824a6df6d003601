/**
 * How many bytes does a span of the corpus take: in a request of 512 spans, and in the messages for Kafka, one for each
 * trace of such a batch? Compressed, too: Kafka compresses the messages of one `send` together.
 */
import { gzipSync } from 'node:zlib'
import { BatchSpanProcessor } from 'tailrace'
import { KafkaTraceExporter } from 'tailrace/kafka'
import { spansOf } from './corpus/spans.ts'
import { CORPUS_SPANS } from './corpus.ts'
import { column, type Line, type Measure, type Question } from './harness/question.ts'

const measure: Measure = async (variant) => {
  const sends: Buffer[][] = []
  const producer = {
    async send({ messages }: { messages: { key?: Buffer; value: Buffer }[] }) {
      sends.push(messages.map(({ key, value }) => Buffer.concat(key ? [key, value] : [value])))
    },
  }
  const exporter = new KafkaTraceExporter({ producer, partitionByTraceId: variant === 'by trace' })
  const processor = new BatchSpanProcessor(exporter, {
    maxQueueSize: CORPUS_SPANS,
    maxQueueBytes: 2 ** 30,
    maxExportBatchSize: 512,
    flushTimeoutMillis: 60_000,
  })
  for (const span of spansOf('realistic', CORPUS_SPANS)) processor.onEnd(span)
  const { exported } = await processor.flush()
  const bytes = (size: (messages: Buffer) => number) =>
    sends.reduce((sum, messages) => sum + size(Buffer.concat(messages)), 0) / exported
  return {
    delivered: exported,
    plain: bytes(({ length }) => length),
    gzip: bytes((messages) => gzipSync(messages).length),
  }
}

export const question: Question = {
  name: 'wire-size',
  title: 'bytes that a span takes on the wire',
  measure,
  async ask(bench) {
    // The same in each round.
    const rounds = await bench.rounds(['request', 'by trace'], { rounds: 1 })
    const line = (label: string, variant: string, name: string): Line => ({
      label,
      unit: 'B',
      samples: { tailrace: column(rounds, variant, name) },
      figures: column(rounds, variant, name),
      figureUnit: 'B',
      isRatioToStock: false,
    })
    return [
      line('requests of 512 spans', 'request', 'plain'),
      line('the same, gzipped', 'request', 'gzip'),
      line('a message a trace, of 512 spans', 'by trace', 'plain'),
      line('the same, gzipped a batch', 'by trace', 'gzip'),
    ]
  },
}
