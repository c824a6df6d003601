/** The Kafka exporter as users know it. */
import { warnOnce } from '../environment.ts'
import { MAX_DELAY_MILLIS } from '../pipeline/deadline.ts'
import { show } from '../pipeline/report.ts'
import { StandaloneExport } from '../pipeline/standalone.ts'
import {
  type EncodingExporter,
  type ExportResult,
  type PipelineExporter,
  pipelineExporter,
  type ReadableSpan,
} from '../types.ts'
import type { KafkaProducer, KafkaRecord } from './producer.ts'
import { type KafkaConfiguration, KafkaSender } from './sender.ts'

/** What `new KafkaTraceExporter()` takes. */
export interface KafkaTraceExporterOptions {
  /** A connected producer; it stays the caller's, who disconnects it after the processor's shutdown. */
  readonly producer: KafkaProducer
  /** Default `otlp_spans`, as in the Collector's Kafka receiver and exporter. */
  readonly topic?: string | undefined
  /**
   * One message for each trace in a batch, its key the trace id in hexadecimal digits, so that a trace is in one
   * partition: for tail sampling and other consumers that want whole traces. Default false: one message a batch, no key.
   */
  readonly partitionByTraceId?: boolean | undefined
  /**
   * No message, nor all messages of one `send`, are larger before compression, in bytes. Default 1000000, a little below
   * the broker's own default of `message.max.bytes`.
   */
  readonly maxMessageBytes?: number | undefined
  /** Passed on to `send`. Default −1: all replicas in sync have it. */
  readonly acks?: -1 | 0 | 1 | undefined
  /** Passed on to `send`, in the client's own terms: `CompressionTypes.GZIP` in kafkajs, `'gzip'` in `@platformatic/kafka`. */
  readonly compression?: KafkaRecord['compression']
  /** Bound on one batch with its retries, in milliseconds. Default: the processor's `exportTimeoutMillis`. */
  readonly timeoutMillis?: number | undefined
}

const KNOWN = new Set([
  'producer',
  'topic',
  'partitionByTraceId',
  'maxMessageBytes',
  'acks',
  'compression',
  'timeoutMillis',
])

/**
 * Produces batches of spans to a Kafka topic as OTLP protobuf, which the OpenTelemetry Collector's Kafka receiver reads as
 * `otlp_proto`: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/receiver/kafkareceiver
 *
 * Works with any client that has `send({ topic, messages })`, and brings none. Spans wait, encoded, while there is no
 * broker; what a client gives up is sent again, so that every span arrives at least once. Idempotence, authentication
 * and the client's own retries are the producer's.
 *
 * @example
 * ```ts
 * import { KafkaTraceExporter, type KafkaProducer } from 'tailrace/kafka'
 *
 * declare const producer: KafkaProducer // new Kafka({ brokers }).producer({ idempotent: true }), connected
 * const processor = new BatchSpanProcessor(new KafkaTraceExporter({ producer }))
 * ```
 */
export class KafkaTraceExporter implements EncodingExporter {
  readonly #sender: KafkaSender
  readonly #standalone: StandaloneExport

  /** @throws TypeError | RangeError that names the option and its value. */
  constructor(options: KafkaTraceExporterOptions) {
    this.#sender = new KafkaSender(configure(options))
    this.#standalone = new StandaloneExport(this.#sender)
  }

  /** Sends spans for a processor that is not ours, with retries. Calls back once. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#standalone.export(spans, resultCallback)
  }

  /** Settles when everything given to `export` is settled. */
  forceFlush(): Promise<void> {
    return this.#standalone.forceFlush()
  }

  /** Later exports fail at once. The producer stays connected. */
  shutdown(): Promise<void> {
    return this.#standalone.shutdown()
  }

  /** For our own processor. A subclass that overrides `export` wants spans, so there is none. */
  [pipelineExporter](): PipelineExporter | undefined {
    return this.export === KafkaTraceExporter.prototype.export ? this.#sender : undefined
  }
}

function configure(options: KafkaTraceExporterOptions): KafkaConfiguration {
  if (typeof options !== 'object' || options === null) throw wrong('options', options, 'an object')
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) warnOnce(`KafkaTraceExporter: unknown option ${name} is ignored`)
  }
  const { producer, topic = 'otlp_spans', partitionByTraceId = false, compression, timeoutMillis } = options
  const { maxMessageBytes = 1_000_000, acks = -1 } = options
  if (typeof producer?.send !== 'function') throw wrong('producer', producer, 'a producer with send')
  if (typeof topic !== 'string' || topic === '') throw wrong('topic', topic, 'a name')
  if (typeof partitionByTraceId !== 'boolean')
    throw wrong('partitionByTraceId', partitionByTraceId, 'a boolean')
  checkInteger('maxMessageBytes', maxMessageBytes, 1)
  if (![-1, 0, 1].includes(acks)) throw wrong('acks', acks, '-1, 0 or 1', RangeError)
  if (timeoutMillis !== undefined) checkInteger('timeoutMillis', timeoutMillis, 1)
  const sendOptions = compression === undefined ? { acks } : { acks, compression }
  return { producer, topic, partitionByTraceId, maxMessageBytes, sendOptions, timeoutMillis }
}

function checkInteger(name: string, value: unknown, min: number): void {
  const expected = `an integer from ${min} to ${MAX_DELAY_MILLIS}`
  if (typeof value !== 'number') throw wrong(name, value, expected)
  if (!Number.isInteger(value) || value < min || value > MAX_DELAY_MILLIS)
    throw wrong(name, value, expected, RangeError)
}

function wrong(
  name: string,
  value: unknown,
  expected: string,
  ErrorType: TypeErrorConstructor | RangeErrorConstructor = TypeError,
): Error {
  return new ErrorType(`KafkaTraceExporter: ${name} must be ${expected}, not ${show(value)}`)
}
