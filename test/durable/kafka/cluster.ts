/** Two brokers on loopback, one of which the test may kill. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import type { KafkaProducer } from '../../../src/kafka.ts'
import { freePort } from '../../interop/program.ts'
import { clients, jars, read } from './parts.ts'

interface Partition {
  readonly partitionId: number
  readonly leader: number
  readonly replicas: number[]
}

interface Admin {
  connect(): Promise<void>
  disconnect(): Promise<void>
  createTopics(options: object): Promise<boolean>
  describeCluster(): Promise<{ brokers: unknown[] }>
  fetchTopicMetadata(options: object): Promise<{ topics: { partitions: Partition[] }[] }>
  alterPartitionReassignments(options: object): Promise<void>
}

interface ConnectedProducer extends KafkaProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
}

const require = createRequire(join(clients, 'package.json'))
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const platformatic = require('@platformatic/kafka')

/** How each client is set up, and what it calls its compression. */
export const CLIENTS = {
  kafkajs: {
    compression: CompressionTypes.GZIP as unknown,
    async connect(brokers: string[]): Promise<KafkaProducer> {
      const options = { idempotent: true, maxInFlightRequests: 1 }
      const producer: ConnectedProducer = new Kafka({ brokers, logLevel: logLevel.NOTHING }).producer(options)
      await producer.connect()
      onTestFinished(() => producer.disconnect())
      return producer
    },
  },
  '@platformatic/kafka': {
    compression: 'gzip' as unknown,
    async connect(bootstrapBrokers: string[]): Promise<KafkaProducer> {
      // Otherwise it asks a dead broker for five minutes, before it looks who leads its partitions now.
      const metadataMaxAge = 1_000
      const options = { clientId: 'tailrace', bootstrapBrokers, idempotent: true, metadataMaxAge }
      const producer = new platformatic.Producer(options)
      onTestFinished(() => producer.close())
      return producer
    },
  },
}

const TOPIC = 'otlp_spans'

export class Cluster {
  readonly brokers: string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'tailrace-kafka-'))
  readonly #processes = new Map<number, ChildProcess>()
  readonly #admin: Admin

  private constructor(ports: number[]) {
    this.brokers = ports.slice(0, 2).map((port) => `127.0.0.1:${port}`)
    this.#admin = new Kafka({ brokers: this.brokers, logLevel: logLevel.NOTHING }).admin()
    const clusterId = randomBytes(16).toString('base64url')
    for (const node of [1, 2]) {
      mkdirSync(join(this.#folder, `${node}`))
      writeFileSync(this.#file(node, 'broker.properties'), this.#properties(node, ports))
      const config = this.#file(node, 'broker.properties')
      java('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', config])
    }
  }

  /** Starts both, and makes the topic: six partitions, each on both. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster([await freePort(), await freePort(), await freePort()])
    onTestFinished(async () => {
      await cluster.#admin.disconnect()
      await Promise.all([cluster.kill(1), cluster.kill(2)])
      rmSync(cluster.#folder, { recursive: true })
    })
    cluster.start(1)
    cluster.start(2)
    await vi.waitFor(() => cluster.#admin.connect(), { timeout: 60_000, interval: 500 })
    await cluster.whenBoth()
    const topic = { topic: TOPIC, numPartitions: 6, replicationFactor: 2 }
    await cluster.#admin.createTopics({ topics: [topic], waitForLeaders: true })
    return cluster
  }

  start(node: number): void {
    const args = ['-Xmx400m', '-XX:+UseSerialGC', '-cp', join(jars, '*'), 'kafka.Kafka']
    const child = spawn('java', [...args, this.#file(node, 'broker.properties')], { stdio: 'ignore' })
    process.once('exit', () => child.kill('SIGKILL'))
    this.#processes.set(node, child)
  }

  /** At once, without a word to anybody. */
  async kill(node: number): Promise<void> {
    const child = this.#processes.get(node)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async whenBoth(): Promise<void> {
    const both = async () => {
      const { brokers } = await this.#admin.describeCluster()
      if (brokers.length !== 2) throw new Error(`there are ${brokers.length} brokers`)
    }
    await vi.waitFor(both, { timeout: 60_000, interval: 500 })
  }

  /** Every other partition to one broker alone, the rest to the other, and waits until they are there. */
  async movePartitions(): Promise<void> {
    const target = (partition: number) => [1 + (partition % 2)]
    const partitionAssignment = [0, 1, 2, 3, 4, 5].map((partition) => ({
      partition,
      replicas: target(partition),
    }))
    await this.#admin.alterPartitionReassignments({
      topics: [{ topic: TOPIC, partitionAssignment }],
      timeout: 30_000,
    })
    const moved = async () => {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [TOPIC] })
      for (const { partitionId, leader, replicas } of topics[0]!.partitions) {
        const [expected] = target(partitionId)
        if (leader !== expected || replicas.join() !== `${expected}`)
          throw new Error(`${partitionId} has not moved`)
      }
    }
    await vi.waitFor(moved, { timeout: 60_000, interval: 500 })
  }

  #file(node: number, name: string): string {
    return join(this.#folder, `${node}`, name)
  }

  /** The file beside this one, with ports and folders of the test's own. */
  #properties(node: number, [first, second, controller]: number[]): string {
    const common = read('broker.properties')
      .replaceAll('127.0.0.1:9092', `127.0.0.1:${node === 1 ? first : second}`)
      .replaceAll('127.0.0.1:9093', `127.0.0.1:${controller}`)
      .replace('log.dirs=data', `log.dirs=${this.#file(node, 'data')}`)
    if (node === 1) return common
    return common
      .replace('node.id=1', 'node.id=2')
      .replace('broker,controller', 'broker')
      .replace(/,CONTROLLER:.*/, '')
  }
}

function java(main: string, args: string[]): void {
  execFileSync('java', ['-cp', join(jars, '*'), main, ...args], { stdio: 'ignore' })
}

/** Numbers of spans, by how often a Collector has written them. */
export function numbersIn(file: string): Map<number, number> {
  const counts = new Map<number, number>()
  for (const [, number] of readFileSync(file, 'utf8').matchAll(/"name":"span-(\d+)"/g))
    counts.set(Number(number), (counts.get(Number(number)) ?? 0) + 1)
  return counts
}
