/** The clients of Kafka that tailrace is tested with. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { KafkaProducer } from '../../../src/kafka.ts'

/** A producer that can send, and how it is closed. */
export interface OpenProducer {
  readonly producer: KafkaProducer
  close(): Promise<void>
}

/** How a client is set up, and what it calls gzip. */
export interface Client {
  readonly gzip: unknown
  /** Idempotent, unless it is said otherwise. */
  readonly connect: (brokers: string[], idempotent?: boolean) => Promise<OpenProducer>
}

export const CLIENT_NAMES = ['kafkajs', '@platformatic/kafka'] as const
export type ClientName = (typeof CLIENT_NAMES)[number]

/** @param folder - Where the clients are installed. */
export function clientNamed(name: ClientName, folder: string): Client {
  const load = createRequire(join(folder, 'package.json'))
  return name === 'kafkajs' ? kafkajs(load(name)) : platformatic(load(name))
}

interface Kafkajs {
  readonly Kafka: new (options: object) => { producer(options: object): KafkajsProducer }
  readonly CompressionTypes: { readonly GZIP: number }
  readonly logLevel: { readonly NOTHING: number }
}

interface KafkajsProducer extends KafkaProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
}

function kafkajs({ Kafka, CompressionTypes, logLevel }: Kafkajs): Client {
  return {
    gzip: CompressionTypes.GZIP,
    async connect(brokers, idempotent = true) {
      const options = { idempotent, ...(idempotent && { maxInFlightRequests: 1 }) }
      const producer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer(options)
      await producer.connect()
      return { producer, close: () => producer.disconnect() }
    },
  }
}

interface Platformatic {
  readonly Producer: new (options: object) => KafkaProducer & { close(): Promise<void> }
}

function platformatic({ Producer }: Platformatic): Client {
  return {
    gzip: 'gzip',
    async connect(bootstrapBrokers, idempotent = true) {
      // Otherwise it asks a dead broker for five minutes, before it looks who leads its partitions now.
      const metadataMaxAge = 1_000
      const producer = new Producer({
        clientId: 'tailrace',
        bootstrapBrokers,
        idempotent,
        metadataMaxAge,
      })
      return { producer, close: () => producer.close() }
    },
  }
}
