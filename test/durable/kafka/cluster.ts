/** Brokers on loopback that a test may kill, and a topic. For benches as well: nothing here is of vitest. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../helpers/free-port.ts'
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
  describeGroups(names: string[]): Promise<{ groups: { state: string; members: unknown[] }[] }>
  fetchTopicOffsets(topic: string): Promise<{ high: string }[]>
}

const require = createRequire(join(clients, 'package.json'))

const TOPIC = 'otlp_spans'
const PARTITIONS = 6

const PATIENCE_MILLIS = 60_000

export class Cluster {
  readonly brokers: string[]
  readonly #folder = mkdtempSync(join(tmpdir(), 'tailrace-kafka-'))
  readonly #processes = new Map<number, ChildProcess>()

  private constructor(nodes: readonly number[], ports: number[]) {
    this.brokers = nodes.map((node) => `127.0.0.1:${ports[node]}`)
    const clusterId = randomBytes(16).toString('base64url')
    for (const node of nodes) {
      mkdirSync(join(this.#folder, `${node}`))
      writeFileSync(this.#file(node, 'broker.properties'), this.#properties(node, ports))
      const config = this.#file(node, 'broker.properties')
      java('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', config])
    }
  }

  /**
   * Starts them, one or two, and makes the topic: six partitions, each on all of them. It is the caller's to stop.
   * @throws if they do not start in time.
   */
  static async start(size: 1 | 2 = 2): Promise<Cluster> {
    const nodes = size === 1 ? [1] : [1, 2]
    const cluster = new Cluster(nodes, [await freePort(), await freePort(), await freePort()])
    try {
      for (const node of nodes) cluster.start(node)
      await cluster.whenAll()
      const topic = { topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: size }
      await cluster.#asAdmin((admin) => admin.createTopics({ topics: [topic], waitForLeaders: true }))
      return cluster
    } catch (error) {
      await cluster.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#processes.keys()].map((node) => this.kill(node)))
    rmSync(this.#folder, { recursive: true })
  }

  /** Messages in the topic. */
  async messages(): Promise<number> {
    const partitions = await this.#asAdmin((admin) => admin.fetchTopicOffsets(TOPIC))
    return partitions.reduce((sum, { high }) => sum + Number(high), 0)
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

  /** What is on disk of the topic, all replicas. */
  bytesOnDisk(): number {
    const folders = [...this.#processes.keys()].flatMap((node) => {
      const data = this.#file(node, 'data')
      return readdirSync(data)
        .filter((name) => name.startsWith(`${TOPIC}-`))
        .map((name) => join(data, name))
    })
    const segments = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.log'))
        .map((name) => join(folder, name)),
    )
    return segments.reduce((sum, segment) => sum + statSync(segment).size, 0)
  }

  /** Waits until a group of readers has so many members, and each its partitions. */
  async whenGroupHas(members: number, group: string): Promise<void> {
    await eventually(async () => {
      const { groups } = await this.#asAdmin((admin) => admin.describeGroups([group]))
      const [{ state, members: there } = { state: 'missing', members: [] }] = groups
      if (state !== 'Stable' || there.length !== members)
        throw new Error(`${group}: ${state}, ${there.length}`)
    })
  }

  async whenAll(): Promise<void> {
    await eventually(async () => {
      const { brokers } = await this.#asAdmin((admin) => admin.describeCluster())
      if (brokers.length !== this.brokers.length) throw new Error(`there are ${brokers.length} brokers`)
    })
  }

  /** Every other partition to one broker alone, the rest to the other, and waits until they are there. */
  async movePartitions(): Promise<void> {
    const target = (partition: number) => [1 + (partition % 2)]
    const partitionAssignment = Array.from({ length: PARTITIONS }, (_, partition) => ({
      partition,
      replicas: target(partition),
    }))
    const topics = [{ topic: TOPIC, partitionAssignment }]
    await this.#asAdmin((admin) => admin.alterPartitionReassignments({ topics, timeout: 30_000 }))
    await eventually(async () => {
      const { topics } = await this.#asAdmin((admin) => admin.fetchTopicMetadata({ topics: [TOPIC] }))
      for (const { partitionId, leader, replicas } of topics[0]!.partitions) {
        const [expected] = target(partitionId)
        if (leader !== expected || replicas.join() !== `${expected}`)
          throw new Error(`${partitionId} has not moved`)
      }
    })
  }

  /** Each time as a new one: an old one goes on asking for topics that are gone. */
  async #asAdmin<Answer>(use: (admin: Admin) => Promise<Answer>): Promise<Answer> {
    const { Kafka, logLevel } = require('kafkajs')
    const admin: Admin = new Kafka({ brokers: this.brokers, logLevel: logLevel.NOTHING }).admin()
    try {
      await admin.connect()
      return await use(admin)
    } finally {
      await admin.disconnect()
    }
  }

  #file(node: number, name: string): string {
    return join(this.#folder, `${node}`, name)
  }

  /** The file beside this one, with ports and folders of the test's own. */
  #properties(node: number, ports: readonly number[]): string {
    const common = read('broker.properties')
      .replaceAll('127.0.0.1:9092', `127.0.0.1:${ports[node]}`)
      .replaceAll('127.0.0.1:9093', `127.0.0.1:${ports[0]}`)
      .replace('replication.factor=2', `replication.factor=${this.brokers.length}`)
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

/** Tries until it works. @throws what it threw last, once that takes too long. */
async function eventually(attempt: () => Promise<void>): Promise<void> {
  const end = performance.now() + PATIENCE_MILLIS
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw error
      await delay(500)
    }
  }
}
