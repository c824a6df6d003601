/** tailrace → Apache Kafka → the OpenTelemetry Collector's Kafka receiver → a file. */
import { BatchSpanProcessor } from 'tailrace'
import { KafkaTraceExporter } from 'tailrace/kafka'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { expectBalance } from '../helpers/ledger.ts'
import { interleavedTraces, spanOf } from '../helpers/traces.ts'
import { Collector } from './collectors.ts'
import { CLIENT_NAMES, clientNamed } from './kafka/clients.ts'
import { Cluster } from './kafka/cluster.ts'
import { clients, whatKafkaLacks } from './kafka/parts.ts'

const SPANS = 100_000
const ROUNDS = 20

/** Numbers of spans, by how often the Collector has written them. */
function numbersIn(collector: Collector): Map<number, number> {
  const counts = new Map<number, number>()
  for (const { name } of collector.written()) {
    const number = Number(name.replace('span-', ''))
    counts.set(number, (counts.get(number) ?? 0) + 1)
  }
  return counts
}

const lacks = whatKafkaLacks()

describe.skipIf(lacks !== undefined && !process.env.CI)('spans by way of Kafka', () => {
  it.each(CLIENT_NAMES)(
    'with %s: each of 100,000 arrives at least once, though a broker is killed and partitions move meanwhile',
    { timeout: 400_000 },
    async (name) => {
      expect(lacks).toBeUndefined()
      const cluster = await Cluster.start()
      onTestFinished(() => cluster.stop())
      const collector = await Collector.start('kafka/collector.yaml', {
        '[127.0.0.1:9092]': JSON.stringify(cluster.brokers),
      })
      const client = clientNamed(name, clients)
      const { producer, close } = await client.connect(cluster.brokers)
      onTestFinished(close)
      const exporter = new KafkaTraceExporter({
        producer,
        partitionByTraceId: true,
        compression: client.gzip,
        timeoutMillis: 10_000,
      })
      const errors: string[] = []
      const processor = new BatchSpanProcessor(exporter, {
        maxQueueSize: SPANS,
        maxQueueBytes: 2 ** 28,
        circuitBreaker: { probeIntervalMillis: 1_000 },
        onError: ({ message }) => errors.push(message),
      })
      const load = interleavedTraces(50)
      const startedAt = performance.now()

      let ended = 0
      for (let round = 0; round < ROUNDS; round++) {
        for (let i = 0; i < SPANS / ROUNDS; i++) {
          const part = load.next().value
          processor.onEnd(spanOf(part.trace, `span-${ended++}`, part))
        }
        await processor.flush({ timeoutMillis: 1_000 })
        expectBalance(processor)
        if (round === 5) await cluster.kill(2)
        if (round === 11) {
          cluster.start(2)
          await cluster.whenAll()
        }
        if (round === 14) await cluster.movePartitions()
      }
      await vi.waitFor(async () => expect(await processor.flush()).toMatchObject({ pending: 0 }), {
        timeout: 180_000,
        interval: 100,
      })
      const seconds = (performance.now() - startedAt) / 1_000

      expect(expectBalance(processor)).toMatchObject({
        ended: SPANS,
        exported: SPANS,
        failed: 0,
        rejected: 0,
      })
      await vi.waitFor(() => expect(numbersIn(collector).size).toBe(SPANS), {
        timeout: 120_000,
        interval: 2_000,
      })
      await collector.stop()
      const written = numbersIn(collector)
      expect([...written.keys()].every((number) => number >= 0 && number < SPANS)).toBe(true)
      const twice = [...written.values()].filter((count) => count > 1).length
      await processor.shutdown()
      console.log(
        `${name}: ${SPANS} spans in ${seconds.toFixed(1)} s; ${twice} arrived more than once; ${errors.length} failures were told`,
        errors,
      )
    },
  )
})
