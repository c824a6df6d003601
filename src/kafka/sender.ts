/** One attempt at a batch: messages, the client's `send`, outcome. */
import { ProtobufEncoder } from '../otlp/protobuf.ts'
import { unlessAborted } from '../pipeline/deadline.ts'
import { describe } from '../pipeline/report.ts'
import {
  type Attempt,
  type EncodedBatch,
  ExportError,
  type Outcome,
  type PipelineExporter,
} from '../types.ts'
import { isTooLarge, type KafkaMessage, type KafkaProducer, type KafkaRecord } from './producer.ts'
import { splitByTrace } from './split.ts'

/** The options of the exporter, completed. */
export interface KafkaConfiguration {
  readonly producer: KafkaProducer
  readonly topic: string
  readonly partitionByTraceId: boolean
  readonly maxMessageBytes: number
  /** What goes to `send` with each record. */
  readonly sendOptions: Pick<KafkaRecord, 'acks' | 'compression'>
  readonly timeoutMillis: number | undefined
}

const DELIVERED: Outcome = { kind: 'delivered', rejected: 0 }

/** Attempts that wait for one send in vain before it is given up: a client may have lost it. */
const MAX_WAITS = 2

interface Sending {
  readonly batch: EncodedBatch
  readonly outcome: Promise<Outcome>
  /** Attempts that have ended before it did. */
  waits: number
}

/** A key, and what a client and the broker put around a message. */
const MESSAGE_OVERHEAD_BYTES = 128

/** The side of the exporter that the pipeline talks to. */
export class KafkaSender implements PipelineExporter {
  readonly description = { type: 'kafka_span_exporter' }
  readonly encoding = 'protobuf'
  /** A client's retries may still be running when an attempt is over. */
  readonly isSerial = true
  readonly maxRequestBytes: number
  readonly timeoutMillis: number | undefined
  /** So that a batch is one message as a rule: resource and scopes come on top. */
  readonly defaultBatchBytes: number
  readonly #configuration: KafkaConfiguration
  /** What the client is sending, or has sent for an attempt that had timed out: the next one has its outcome. */
  #sending: Sending | undefined
  #isShutDown = false

  constructor(configuration: KafkaConfiguration) {
    this.#configuration = configuration
    const { maxMessageBytes, timeoutMillis, partitionByTraceId } = configuration
    this.maxRequestBytes = partitionByTraceId ? Number.MAX_SAFE_INTEGER : maxMessageBytes
    this.defaultBatchBytes = Math.max(1, Math.floor(maxMessageBytes * 0.9))
    this.timeoutMillis = timeoutMillis
  }

  createEncoder(): ProtobufEncoder {
    return new ProtobufEncoder()
  }

  async send(batch: EncodedBatch, { signal }: Attempt): Promise<Outcome> {
    if (this.#isShutDown) {
      return { kind: 'final', error: new ExportError('exporter_shutdown', 'the exporter has been shut down') }
    }
    while (this.#sending !== undefined && this.#sending.batch !== batch) {
      const earlier = this.#sending
      await unlessAborted(earlier.outcome, signal)
      if (signal.aborted) return this.#waitedInVain(earlier)
      // Its own attempt has given up on it, and no other has come to ask.
      if (this.#sending === earlier) this.#sending = undefined
    }
    const sending = this.#sending ?? { batch, outcome: this.#produce(batch), waits: 0 }
    this.#sending = sending
    let outcome: Outcome | undefined
    const settled = sending.outcome.then((each) => {
      outcome = each
    })
    await unlessAborted(settled, signal)
    if (outcome === undefined) return this.#waitedInVain(sending)
    if (this.#sending === sending) this.#sending = undefined
    return outcome
  }

  /** Nobody knows yet. The next attempt joins it, if it is not the last that does. */
  #waitedInVain(sending: Sending): Outcome {
    if (++sending.waits === MAX_WAITS && this.#sending === sending) this.#sending = undefined
    return { kind: 'retryable', error: new ExportError('timeout', 'the producer is still sending') }
  }

  /** The request that was sending has died. */
  abandoned(): void {
    this.#sending = undefined
  }

  /** The producer is the user's to disconnect. */
  async shutdown(): Promise<void> {
    this.#isShutDown = true
  }

  /** Never rejects. */
  async #produce(batch: EncodedBatch): Promise<Outcome> {
    const { producer, topic, sendOptions, partitionByTraceId } = this.#configuration
    const records = this.#records(batch.body)
    // What is cut is copied. A client that has the body itself may hold on to it, nobody knows for how long.
    batch.readers = (batch.readers ?? 0) + (partitionByTraceId ? 0 : 1)
    if (records === undefined) return this.#tooLarge(`a message exceeds maxMessageBytes`)
    try {
      for (const messages of records) await producer.send({ topic, messages, ...sendOptions })
      return DELIVERED
    } catch (cause) {
      const message = `the producer failed: ${describe(cause)}`
      if (isTooLarge(cause))
        return { kind: 'too_large', error: new ExportError('too_large', message, { cause }) }
      return { kind: 'retryable', error: new ExportError('network', message, { cause }) }
    }
  }

  /**
   * The messages, in as many sends as it takes: a client may put all that goes to a partition into one record batch,
   * which the broker's limit is for. `undefined`: one of them alone would be too large.
   */
  #records(body: Uint8Array): KafkaMessage[][] | undefined {
    const { topic, partitionByTraceId, maxMessageBytes } = this.#configuration
    if (!partitionByTraceId)
      return body.length > maxMessageBytes ? undefined : [[{ topic, value: buffer(body) }]]
    const parts = splitByTrace(body, maxMessageBytes)
    if (parts === undefined) return undefined
    const records: KafkaMessage[][] = []
    let room = 0
    for (const part of parts) {
      const bytes = part.body.length + MESSAGE_OVERHEAD_BYTES
      if (bytes > room) {
        records.push([])
        room = maxMessageBytes
      }
      room -= bytes
      records[records.length - 1]?.push({ topic, key: Buffer.from(part.traceId), value: part.body })
    }
    return records
  }

  #tooLarge(what: string): Outcome {
    const message = `${what} (${this.#configuration.maxMessageBytes})`
    return { kind: 'too_large', error: new ExportError('too_large', message) }
  }
}

/** The same memory, as Node's clients want it. */
function buffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
