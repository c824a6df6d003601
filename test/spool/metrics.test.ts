import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { expect, onTestFinished, test } from 'vitest'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { rejects } from '../helpers/misbehaviours.ts'
import { end, names } from '../helpers/processors.ts'
import { runningCollector, spoolFor, temporaryDirectory } from './spools.ts'

function meter() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  onTestFinished(() => meterProvider.shutdown())
  /** `name` or `name{error.type}`, and the value; those of 0 are left out. */
  async function read(): Promise<Record<string, number>> {
    exporter.reset()
    await meterProvider.forceFlush()
    const values: Record<string, number> = {}
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
    for (const { descriptor, dataPoints } of metrics.flatMap((scope) => scope.metrics)) {
      for (const { attributes, value } of dataPoints) {
        expect(attributes['otel.component.name']).toEqual(expect.any(String))
        const error = attributes['error.type']
        if (typeof value !== 'number' || value === 0) continue
        values[descriptor.name + (error === undefined ? '' : `{${String(error)}}`)] = value
      }
    }
    return values
  }
  return { meterProvider, read }
}

test('B49: metrics tell what is spooled, replayed, rejected, evicted and set aside, and agree with stats', async () => {
  const { meterProvider, read } = meter()
  const directory = temporaryDirectory()
  const collector = await runningCollector()
  collector.otherwise(answers(503))
  const exporter = spoolFor(collector, directory, { maxReplaysPerSecond: 100, maxBytes: 1000 })
  const processor = watchedProcessor(exporter, {
    scheduledDelayMillis: 0,
    circuitBreaker: { failureThreshold: 1 },
    selfObsMeterProvider: meterProvider,
  })
  for (let i = 0; i < 6; i++) {
    end(processor, ...names(3))
    await processor.flush()
  }
  const { written, evicted, waiting } = exporter.stats()
  expect(written).toEqual({ files: 6, spans: 18 })
  expect(evicted.spans).toBeGreaterThan(0)
  expect(processor.stats()).toMatchObject({ ended: 18, spooled: 18, pending: 0 })

  const away = await read()
  expect(away).toEqual({
    'otel.sdk.processor.span.processed': 18,
    'otel.sdk.processor.span.queue.capacity': 2048,
    'tailrace.spool.span.written': 18,
    'tailrace.spool.span.evicted': evicted.spans,
    'tailrace.spool.file.waiting': waiting.files,
    'tailrace.spool.size': waiting.bytes,
  })

  writeFileSync(join(directory, `${Date.now()}-0000000000000000.otlp.pb`), 'torn')
  collector.script(rejects(2, 'too many'))
  collector.otherwise(answers(200))
  const { replayed, setAside } = await exporter.replay({ timeoutMillis: 10_000 })

  expect(replayed.spans + replayed.rejected + evicted.spans).toBe(written.spans)
  expect(await read()).toEqual({
    'otel.sdk.processor.span.processed': 18,
    'otel.sdk.processor.span.queue.capacity': 2048,
    'tailrace.spool.span.written': 18,
    'tailrace.spool.span.replayed': replayed.spans,
    'tailrace.spool.span.replayed{rejected}': 2,
    'tailrace.spool.span.evicted': evicted.spans,
    'tailrace.spool.file.set_aside': setAside.files,
  })

  await processor.shutdown()
  expect(Object.keys(await read())).not.toContain('tailrace.spool.size')
})

test('B60: a meter that throws costs its metrics, and no span', async () => {
  const collector = await runningCollector()
  collector.otherwise(answers(503))
  const broken = () => {
    throw new Error('the meter broke')
  }
  const working = new MeterProvider().getMeter('test')
  const counter = { add: broken }
  const meterProvider = {
    getMeter: () => Object.assign(Object.create(working), { createCounter: () => counter }),
  }
  const processor = watchedProcessor(spoolFor(collector, temporaryDirectory()), {
    retry: false,
    scheduledDelayMillis: 0,
    selfObsMeterProvider: meterProvider,
  })
  end(processor, 'a')

  expect(await processor.flush()).toMatchObject({ spooled: 1 })
})
