/**
 * How many spans a second reach a broker of Apache Kafka, next to the same client with the same messages, encoded before the
 * clock starts? All but the last have an idempotent producer and await one `send` after the other: kafkajs asks for that
 * (`maxInFlightRequests: 1`), and `@platformatic/kafka` is told by the broker that its sequence is out of order otherwise.
 *
 *     bare         the messages, one batch a `send`
 *     waiting      tailrace with all spans in its queue: from a flush until the broker has them
 *     ending       tailrace while spans end as fast as its queue of 2,048 takes them: encoding included
 *     five at once the messages again, five `send`s in flight, by a producer that is not idempotent: what order costs
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BatchSpanProcessor } from 'tailrace'
import { type KafkaProducer, type KafkaRecord, KafkaTraceExporter } from 'tailrace/kafka'
import type { ReadableSpan } from '../src/types.ts'
import { CLIENT_NAMES, type ClientName, clientNamed } from '../test/durable/kafka/clients.ts'
import { spansOf } from './corpus/spans.ts'
import { type Line, type Question, ratioOf, type StartTurns, type Turns } from './harness/question.ts'
import { median } from './harness/statistics.ts'

const SPANS_A_TURN = 8 * 512
const WARM_UP_TURNS = 4
/** Spans that end between two turns of the event loop, and how many may wait then. */
const BURST_SPANS = 256
const WAITING_MAX = 2048 - BURST_SPANS
const LANES = 5

/** A producer that says when it has sent something. */
class NotingProducer implements KafkaProducer {
  #onSent = () => {}
  readonly #inner: KafkaProducer

  constructor(inner: KafkaProducer) {
    this.#inner = inner
  }

  async send(record: KafkaRecord): Promise<void> {
    await this.#inner.send(record)
    this.#onSent()
  }

  nextSent(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSent = resolve
    })
  }
}

/** What is sent, and how. */
interface Load {
  readonly spans: readonly ReadableSpan[]
  readonly partitionByTraceId: boolean
}

function processorFor(
  producer: KafkaProducer,
  { partitionByTraceId }: Load,
  maxQueueSize?: number,
): BatchSpanProcessor {
  return new BatchSpanProcessor(new KafkaTraceExporter({ producer, partitionByTraceId }), {
    ...(maxQueueSize !== undefined && { maxQueueSize, maxQueueBytes: 2 ** 30, maxExportBatchSize: 512 }),
    scheduledDelayMillis: 0,
    flushTimeoutMillis: 120_000,
  })
}

async function flush(processor: BatchSpanProcessor): Promise<void> {
  const { status, pending } = await processor.flush()
  const { ended, exported } = processor.stats()
  if (exported !== ended)
    throw new Error(`${status}: ${ended} ended, ${exported} exported, ${pending} pending`)
}

/** What tailrace sends of this load: the same batches, the same messages. */
async function encode(load: Load): Promise<KafkaRecord[]> {
  const records: KafkaRecord[] = []
  const recorder: KafkaProducer = {
    async send({ messages, ...rest }) {
      const copies = messages.map((message) => ({ ...message, value: Buffer.from(message.value) }))
      records.push({ ...rest, messages: copies })
    },
  }
  const processor = processorFor(recorder, load, load.spans.length)
  for (const span of load.spans) processor.onEnd(span)
  await flush(processor)
  return records
}

/** Makes ready for a turn, and answers what is to be timed. */
type Way = (producer: NotingProducer, load: Load) => () => Promise<() => Promise<void>>

function inLanes(lanes: number): Way {
  return (producer, load) => {
    const encoded = encode(load)
    return async () => {
      // As fresh as those of tailrace: a client may write into what it is given.
      const records = (await encoded)
        .map(({ messages, ...rest }) => ({ ...rest, messages: messages.map((message) => ({ ...message })) }))
        .values()
      const lane = async () => {
        for (const record of records) await producer.send(record)
      }
      return async () => {
        await Promise.all(Array.from({ length: lanes }, lane))
      }
    }
  }
}

const WAYS: Readonly<Record<string, Way>> = {
  bare: inLanes(1),
  waiting(producer, load) {
    const processor = processorFor(producer, load, load.spans.length)
    return async () => {
      // In one go: the loop wakes only when this is over.
      for (const span of load.spans) processor.onEnd(span)
      return () => flush(processor)
    }
  },
  ending(producer, load) {
    const processor = processorFor(producer, load)
    return async () => async () => {
      for (const [i, span] of load.spans.entries()) {
        processor.onEnd(span)
        if (i % BURST_SPANS > 0) continue
        await nextTurn()
        while (processor.stats().pending > WAITING_MAX) await producer.nextSent()
      }
      await flush(processor)
    }
  },
  'five at once': inLanes(LANES),
}

function cpuMillis(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const turns: StartTurns = async (variant, { client, clients, broker, byTrace, clock }) => {
  const now = clock === 'cpu' ? cpuMillis : () => performance.now()
  const { connect } = clientNamed(client as ClientName, clients as string)
  const { producer } = await connect([broker as string], variant !== 'five at once')
  const load = {
    spans: spansOf('realistic', SPANS_A_TURN),
    partitionByTraceId: byTrace === 1,
  }
  const prepare = WAYS[variant]!(new NotingProducer(producer), load)
  const turn = async () => {
    const run = await prepare()
    // What making ready has left behind is not the delivery's to clear. A whole collection would take code with it, and the
    // memory that the delivery is about to use again.
    globalThis.gc!({ type: 'minor' })
    const startedAt = now()
    await run()
    return now() - startedAt
  }
  for (let i = 0; i < WARM_UP_TURNS; i++) await turn()
  return turn
}

function lines(name: string, rounds: readonly Turns[], cpuRounds: readonly Turns[]): Line[] {
  const speed = (way: string) => rounds.map((round) => (SPANS_A_TURN / median(round[way]!)) * 1000)
  const next = (label: string, way: string, required?: number): Line => ({
    label: `${name}: ${label}`,
    unit: 'spans/s',
    samples: { bare: speed('bare'), [way]: speed(way) },
    figures: rounds.map((round) => ratioOf(round, 'bare', way)),
    figureUnit: '×',
    ...(required !== undefined && { goal: { required, sense: 'at least' } }),
    isRatioToStock: false,
  })
  const cpu = (way: string) => cpuRounds.map((round) => (median(round[way]!) / SPANS_A_TURN) * 1000)
  return [
    next('what waits', 'waiting', 0.8),
    next('what ends meanwhile', 'ending'),
    next('bare, not idempotent, five in flight', 'five at once'),
    {
      label: `${name}: CPU, bare next to what waits`,
      unit: 'µs CPU',
      samples: { bare: cpu('bare'), waiting: cpu('waiting') },
      figures: cpuRounds.map((round) => ratioOf(round, 'bare', 'waiting')),
      figureUnit: '×',
      isRatioToStock: false,
    },
  ]
}

export const question: Question = {
  name: 'kafka',
  title: 'spans a second to a Kafka broker, next to the bare client with messages encoded before',
  turns,
  async whatIsMissing() {
    const { whatBrokersLack } = await import('../test/durable/kafka/parts.ts')
    return whatBrokersLack()
  },
  async ask(bench) {
    const { clients, prepareKafka } = await import('../test/durable/kafka/parts.ts')
    const { Cluster } = await import('../test/durable/kafka/cluster.ts')
    prepareKafka()
    const found: Line[] = []
    const loads = CLIENT_NAMES.flatMap((client) => [0, 1].map((byTrace) => ({ client, byTrace })))
    for (const { client, byTrace } of loads) {
      // A fresh one for each, since a minute of this is a gigabyte.
      const cluster = await Cluster.start(1)
      try {
        const settings = { client, byTrace, clients, broker: cluster.brokers[0]! }
        const count = bench.isQuick ? 8 : 16
        const ask = (ways: string[], clock: string) =>
          bench.turns(ways, count, { settings: { ...settings, clock }, nodeOptions: ['--expose-gc'] })
        const rounds = await ask(Object.keys(WAYS), 'wall')
        // All ways send the same messages, each turn.
        const sends = rounds.length * Object.keys(WAYS).length * (count + WARM_UP_TURNS)
        const messages = (await cluster.messages()) / sends
        if (!Number.isInteger(messages)) throw new Error(`${client}: ${messages} messages came a turn`)
        const shape = `${client}, ${(SPANS_A_TURN / messages).toFixed(0)} spans a message`
        // Time depends on what else the machine does, CPU hardly.
        found.push(...lines(shape, rounds, await ask(['bare', 'waiting'], 'cpu')))
      } finally {
        await cluster.stop()
      }
    }
    return found
  },
}
