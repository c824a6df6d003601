/** tailrace → Apache Kafka → the OpenTelemetry Collector's Kafka receiver → a file. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchSpanProcessor } from 'tailrace'
import { KafkaTraceExporter } from 'tailrace/kafka'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { expectBalance } from '../helpers/ledger.ts'
import { interleavedTraces, spanOf } from '../helpers/traces.ts'
import { startProgram } from '../interop/program.ts'
import { CLIENTS, Cluster, numbersIn } from './kafka/cluster.ts'
import { kafkaCollector, read, whatKafkaLacks } from './kafka/parts.ts'

const SPANS = 100_000
const ROUNDS = 20

/** Reads from the cluster; answers its file, and how it is ended. */
async function startCollector(brokers: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'tailrace-kafka-collector-'))
  const output = join(folder, 'traces.jsonl')
  const config = join(folder, 'collector.yaml')
  // Its own metrics would want a port.
  const quiet = 'service:\n  telemetry:\n    metrics:\n      level: none\n'
  writeFileSync(
    config,
    read('collector.yaml')
      .replace('[127.0.0.1:9092]', JSON.stringify(brokers))
      .replace('traces.jsonl', output)
      .replace('service:\n', quiet),
  )
  const program = await startProgram(kafkaCollector.binary, ['--config', config], 'Everything is ready')
  onTestFinished(async () => {
    await program.stop()
    rmSync(folder, { recursive: true })
  })
  return { written: () => (existsSync(output) ? numbersIn(output) : new Map<number, number>()), program }
}

const lacks = whatKafkaLacks()

describe.skipIf(lacks !== undefined && !process.env.CI)('spans by way of Kafka', () => {
  it.each(Object.entries(CLIENTS))(
    'with %s: each of 100,000 arrives at least once, though a broker is killed and partitions move meanwhile',
    { timeout: 400_000 },
    async (name, client) => {
      expect(lacks).toBeUndefined()
      const cluster = await Cluster.start()
      const collector = await startCollector(cluster.brokers)
      const producer = await client.connect(cluster.brokers)
      const exporter = new KafkaTraceExporter({
        producer,
        partitionByTraceId: true,
        compression: client.compression,
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
          await cluster.whenBoth()
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
      await vi.waitFor(() => expect(collector.written().size).toBe(SPANS), {
        timeout: 120_000,
        interval: 2_000,
      })
      await collector.program.stop()
      const written = collector.written()
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
