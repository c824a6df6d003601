/**
 * The topologies of SCALING.md, with the configurations that it shows. Prints what each hop costs, which its arithmetic is
 * made of.
 *
 * Not in CI, as the tests with Kafka are not: to build its Collector, whose load balancing exporter brings the clients of
 * Kubernetes and AWS along, takes three minutes where the packages of the other Collectors are compiled, and more where not.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { KafkaTraceExporter } from 'tailrace/kafka'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createProvider, processorOf, recipesOf, Stream } from '../../bench/corpus/spans.ts'
import type { ReadableSpan, SpanExporter } from '../../src/types.ts'
import { freePort } from '../helpers/free-port.ts'
import { expectBalance } from '../helpers/ledger.ts'
import { Collector } from './collectors.ts'
import { clientNamed } from './kafka/clients.ts'
import { Cluster } from './kafka/cluster.ts'
import { clients, whatCollectorLacks, whatKafkaLacks } from './kafka/parts.ts'

const SPANS = 50_000
const BURST_SPANS = 1_000

/** Where a Collector listens. */
const loopback = async () => `127.0.0.1:${await freePort()}`

/**
 * Services, each with a tailrace of its own. The spans of the corpus end in one after the other, so that a trace has spans of
 * all of them.
 */
class Fleet {
  /** Trace by span. */
  readonly ended = new Map<string, string>()
  readonly #processors: BatchSpanProcessor[] = []
  readonly #stream: Stream

  constructor(exporters: readonly SpanExporter[]) {
    for (const exporter of exporters) this.add(exporter)
    const provider = createProvider(processorOf((span) => this.#end(span)))
    this.#stream = new Stream(provider, recipesOf('realistic'))
  }

  /** One more service. */
  add(exporter: SpanExporter): void {
    this.#processors.push(new BatchSpanProcessor(exporter, { maxQueueSize: 8 * BURST_SPANS }))
  }

  #end(span: ReadableSpan): void {
    const { traceId, spanId } = span.spanContext()
    this.#processors[this.ended.size % this.#processors.length]!.onEnd(span)
    this.ended.set(spanId, traceId)
  }

  /** Ends so many more, and waits until everybody has got theirs. */
  async play(count: number): Promise<void> {
    const total = this.#stream.count + count
    while (this.#stream.count < total) {
      this.#stream.playUntil(Math.min(total, this.#stream.count + BURST_SPANS))
      await nextTurn()
      await this.#flush()
    }
  }

  async #flush(): Promise<void> {
    await Promise.all(
      this.#processors.map((processor) =>
        vi.waitFor(async () => expect(await processor.flush()).toMatchObject({ status: 'success' }), {
          timeout: 60_000,
        }),
      ),
    )
  }

  async shutdown(): Promise<void> {
    for (const processor of this.#processors) {
      await processor.shutdown()
      const { ended, exported } = expectBalance(processor)
      expect(exported).toBe(ended)
    }
  }
}

/** What each hop has taken for a span while something was done. */
async function costs(
  hops: Readonly<Record<string, readonly { cpuMicros: number }[]>>,
  work: () => Promise<void>,
) {
  const taken = () =>
    Object.values(hops).map((programs) => programs.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0))
  const before = taken()
  await work()
  const after = taken()
  return Object.keys(hops).map((name, i) => `${name} ${((after[i]! - before[i]!) / SPANS).toFixed(1)}`)
}

async function whenAllAreThere(collectors: readonly Collector[], fleet: Fleet): Promise<void> {
  const there = () =>
    new Set(collectors.flatMap((collector) => collector.written().map(({ spanId }) => spanId)))
  await vi.waitFor(() => expect(there().size).toBe(fleet.ended.size), { timeout: 60_000, interval: 1_000 })
}

/** Ends the collectors, and answers by span which of them have it. */
async function whereabouts(collectors: readonly Collector[], fleet: Fleet): Promise<Map<string, number[]>> {
  await Promise.all(collectors.map((collector) => collector.stop()))
  const found = new Map<string, number[]>()
  for (const [i, collector] of collectors.entries()) {
    for (const { spanId, traceId } of collector.written()) {
      expect(traceId).toBe(fleet.ended.get(spanId))
      found.set(spanId, [...(found.get(spanId) ?? []), i])
    }
  }
  expect(found.size).toBe(fleet.ended.size)
  return found
}

/** Each trace is with one collector alone; answers how many traces each has. */
function expectWholeTraces(found: Map<string, number[]>, fleet: Fleet, collectors: number): number[] {
  const holders = new Map<string, Set<number>>()
  for (const [spanId, where] of found) {
    const traceId = fleet.ended.get(spanId)!
    const ofTrace = holders.get(traceId) ?? new Set()
    for (const i of where) ofTrace.add(i)
    holders.set(traceId, ofTrace)
  }
  expect([...holders.values()].filter(({ size }) => size !== 1)).toEqual([])
  return Array.from(
    { length: collectors },
    (_, i) => [...holders.values()].filter((ofTrace) => ofTrace.has(i)).length,
  )
}

const collectorLacks = whatCollectorLacks()

describe.skipIf(collectorLacks !== undefined && !process.env.CI)(
  'the way to a backend',
  { timeout: 300_000 },
  () => {
    it('direct: every span arrives, once', async () => {
      expect(collectorLacks).toBeUndefined()
      const at = await loopback()
      const gateway = await Collector.start('scaling/gateway.yaml', {
        '0.0.0.0:4317': await loopback(),
        '0.0.0.0:4318': at,
      })
      const fleet = new Fleet([new OTLPTraceExporter({ url: `http://${at}/v1/traces` })])
      const cost = await costs({ 'gateway to a file': [gateway] }, () => fleet.play(SPANS))
      await fleet.shutdown()
      const found = await whereabouts([gateway], fleet)
      expect([...found.values()].filter((where) => where.length !== 1)).toEqual([])
      console.log(`direct: ${SPANS} spans; µs of CPU a span: ${cost.join(', ')}`)
    })

    it('by way of a sidecar: every span arrives, though the gateway is away for a while', async () => {
      const [atSidecar, atGateway] = [await loopback(), await loopback()]
      const gateway = await Collector.start('scaling/gateway.yaml', {
        '0.0.0.0:4317': atGateway,
        '0.0.0.0:4318': await loopback(),
      })
      const sidecar = await startSidecar('sidecar.yaml', atSidecar, { 'gateway:4317': atGateway })
      const fleet = new Fleet([otlp(atSidecar)])
      const cost = await costs({ sidecar: [sidecar], 'gateway to a file': [gateway] }, async () => {
        await fleet.play(SPANS)
        await whenAllAreThere([gateway], fleet)
      })
      await gateway.stop()
      await fleet.play(SPANS / 10)
      await gateway.start()
      await fleet.shutdown()
      await whenAllAreThere([gateway], fleet)
      console.log(`sidecar: ${SPANS} spans; µs of CPU a span: ${cost.join(', ')}`)
    })

    it('load-balanced by trace id: every span arrives, and each trace at one gateway, whichever sidecars its spans came by', async () => {
      const gateways = [await loopback(), await loopback()]
      const sidecars = [await loopback(), await loopback()]
      const addresses = { 'gateway-1:4317': gateways[0]!, 'gateway-2:4317': gateways[1]! }
      const there = await Promise.all(
        gateways.map(async (at) =>
          Collector.start('scaling/gateway.yaml', { '0.0.0.0:4317': at, '0.0.0.0:4318': await loopback() }),
        ),
      )
      const before = await Promise.all(
        sidecars.map((at) => startSidecar('balancing-sidecar.yaml', at, addresses)),
      )
      const fleet = new Fleet(sidecars.map(otlp))
      const cost = await costs({ sidecars: before, 'gateways to files': there }, async () => {
        await fleet.play(SPANS)
        await whenAllAreThere(there, fleet)
      })
      const traces = expectWholeTraces(await whereabouts(there, fleet), fleet, 2)
      expect(Math.min(...traces)).toBeGreaterThan(Math.max(...traces) / 2)
      // As when gateways are replaced, one after the other.
      await there[0]!.start()
      await fleet.play(SPANS / 10)
      await there[1]!.start()
      await fleet.shutdown()
      await whenAllAreThere(there, fleet)
      expectWholeTraces(await whereabouts(there, fleet), fleet, 2)
      console.log(
        `balanced: ${SPANS} spans, traces at each gateway: ${traces.join(', ')}; µs of CPU a span: ${cost.join(', ')}`,
      )
    })
  },
)

const kafkaLacks = whatKafkaLacks()

describe.skipIf(kafkaLacks !== undefined && !process.env.CI)('the way by Kafka', { timeout: 300_000 }, () => {
  it('every span arrives, and each trace at one reader, whether its spans came by gateways or from programs', async () => {
    expect(kafkaLacks).toBeUndefined()
    const cluster = await Cluster.start()
    onTestFinished(() => cluster.stop())
    const readers = await Promise.all(
      [1, 2].map(() =>
        Collector.start('kafka/collector.yaml', { '[127.0.0.1:9092]': JSON.stringify(cluster.brokers) }),
      ),
    )
    await cluster.whenGroupHas(2, 'otel-collector')
    const gateways = [await loopback(), await loopback()]
    const atSidecar = await loopback()
    const toKafka = await Promise.all(
      gateways.map((at) =>
        Collector.start('scaling/gateway-to-kafka.yaml', {
          '0.0.0.0:4317': at,
          '[kafka-1:9092, kafka-2:9092]': JSON.stringify(cluster.brokers),
        }),
      ),
    )
    const addresses = { 'gateway-1:4317': gateways[0]!, 'gateway-2:4317': gateways[1]! }
    const sidecar = await startSidecar('balancing-sidecar.yaml', atSidecar, addresses)

    const fleet = new Fleet([otlp(atSidecar)])
    const hops = {
      sidecar: [sidecar],
      'gateways to Kafka': toKafka,
      'readers to files': readers,
    }
    const cost = await costs(hops, async () => {
      await fleet.play(SPANS)
      await whenAllAreThere(readers, fleet)
    })
    const bytes = cluster.bytesOnDisk() / SPANS
    const { producer, close } = await clientNamed('kafkajs', clients).connect(cluster.brokers)
    onTestFinished(close)
    fleet.add(new KafkaTraceExporter({ producer, partitionByTraceId: true }))
    await fleet.play(SPANS)
    await fleet.shutdown()
    await whenAllAreThere(readers, fleet)
    const traces = expectWholeTraces(await whereabouts(readers, fleet), fleet, 2)
    console.log(
      `Kafka: ${SPANS} spans, traces at each reader: ${traces.join(', ')}; bytes on disk a span, two replicas: ${bytes.toFixed(0)}; µs of CPU a span: ${cost.join(', ')}`,
    )
  })
})

const otlp = (at: string) => new OTLPTraceExporter({ url: `http://${at}/v1/traces` })

function startSidecar(
  file: string,
  at: string,
  gateways: Readonly<Record<string, string>>,
): Promise<Collector> {
  return Collector.start(`scaling/${file}`, { '127.0.0.1:4318': at, ...gateways })
}
