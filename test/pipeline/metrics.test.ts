import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BatchSpanProcessor, type BatchSpanProcessorOptions, OTLPTraceExporter } from '../../src/index.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { end, spanNamed } from '../helpers/processors.ts'
import { microtasks } from '../helpers/settling.ts'

/** Answers each request in turn with the status, or else the body, that comes next. */
function scriptedFetch(...answers: (number | Uint8Array)[]): typeof fetch {
  return async () => {
    const answer = answers.shift() ?? 200
    return typeof answer === 'number'
      ? new Response(null, { status: answer })
      : new Response(answer as BodyInit, { headers: { 'content-type': 'application/x-protobuf' } })
  }
}

/** `partial_success { rejected_spans: 2 }` in protobuf. */
const TWO_REJECTED = new Uint8Array([0x0a, 0x02, 0x08, 0x02])

let exporter: InMemoryMetricExporter
let reader: PeriodicExportingMetricReader
let meterProvider: MeterProvider

beforeEach(() => {
  exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  meterProvider = new MeterProvider({ readers: [reader] })
})

afterEach(() => meterProvider.shutdown())

/** What the metrics SDK has, as `name{error.type}: value`, of the components that exist since the test began. */
async function readMetrics(): Promise<
  Map<string, { value: unknown; unit: string; attributes: Record<string, unknown> }>
> {
  exporter.reset()
  await meterProvider.forceFlush()
  const read = new Map<string, { value: unknown; unit: string; attributes: Record<string, unknown> }>()
  for (const resource of exporter.getMetrics()) {
    for (const { metrics } of resource.scopeMetrics) {
      for (const { descriptor, dataPoints } of metrics) {
        for (const { attributes, value } of dataPoints) {
          const error = attributes['error.type'] === undefined ? '' : `{${String(attributes['error.type'])}}`
          read.set(descriptor.name + error, { value, unit: descriptor.unit, attributes })
        }
      }
    }
  }
  return read
}

function pipeline(fetch: typeof globalThis.fetch, options: BatchSpanProcessorOptions = {}) {
  const processor = new BatchSpanProcessor(
    new OTLPTraceExporter({ fetch, url: 'http://collector.test:4318/v1/traces' }),
    {
      selfObsMeterProvider: meterProvider,
      ...options,
    },
  )
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('metrics')
  const endSpans = (count: number) => {
    for (let i = 0; i < count; i++) tracer.startSpan(`span ${i}`).end()
  }
  return { processor, endSpans }
}

test('B49: queue size and capacity are those of the processor, in spans', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch(), { maxQueueSize: 100, scheduledDelayMillis: 0 })
  endSpans(7)
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.processor.span.queue.size')).toMatchObject({ value: 7, unit: '{span}' })
  expect(metrics.get('otel.sdk.processor.span.queue.capacity')).toMatchObject({ value: 100, unit: '{span}' })
  const { attributes } = metrics.get('otel.sdk.processor.span.queue.size') ?? {}
  expect(attributes?.['otel.component.type']).toBe('batching_span_processor')
  expect(attributes?.['otel.component.name']).toMatch(/^batching_span_processor\/\d+$/)
  await processor.shutdown()
})

test('B49: a span counts as processed when it is handed over, not when its export has ended', async () => {
  let answer = (_: Response) => {}
  const { processor, endSpans } = pipeline(() => new Promise((resolve) => (answer = resolve)))
  endSpans(3)
  const flushed = processor.flush()
  const during = await readMetrics()
  expect(during.get('otel.sdk.processor.span.processed')).toMatchObject({ value: 3, unit: '{span}' })
  expect(during.get('otel.sdk.exporter.span.inflight')).toMatchObject({ value: 3, unit: '{span}' })
  expect(during.has('otel.sdk.exporter.span.exported')).toBe(false)
  answer(new Response(null))
  await flushed
  const after = await readMetrics()
  expect(after.get('otel.sdk.processor.span.processed')?.value).toBe(3)
  expect(after.get('otel.sdk.exporter.span.inflight')?.value).toBe(0)
  expect(after.get('otel.sdk.exporter.span.exported')).toMatchObject({
    value: 3,
    unit: '{span}',
    attributes: {
      'otel.component.type': 'otlp_http_span_exporter',
      'server.address': 'collector.test',
      'server.port': 4318,
    },
  })
  expect(after.get('otel.sdk.exporter.operation.duration')).toMatchObject({ unit: 's', value: { count: 1 } })
  await processor.shutdown()
})

test('B49: dropped spans are processed with the reason as error.type', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch(), { maxQueueSize: 4, scheduledDelayMillis: 0 })
  endSpans(10)
  await processor.flush()
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.processor.span.processed{queue_full}')?.value).toBe(6)
  expect(metrics.get('otel.sdk.processor.span.processed')?.value).toBe(4)
  await processor.shutdown()
})

test('B49: a refused batch is exported with its status as error.type and on the duration', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch(400))
  endSpans(5)
  await processor.flush()
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.exporter.span.exported{400}')?.value).toBe(5)
  expect(metrics.get('otel.sdk.exporter.span.inflight')?.value).toBe(0)
  const duration = metrics.get('otel.sdk.exporter.operation.duration{400}')
  expect(duration?.attributes['http.response.status_code']).toBe(400)
  await processor.shutdown()
})

test('B49: spans that the backend rejected are exported with error.type rejected', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch(TWO_REJECTED))
  endSpans(5)
  await processor.flush()
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.exporter.span.exported')?.value).toBe(3)
  expect(metrics.get('otel.sdk.exporter.span.exported{rejected}')?.value).toBe(2)
  await processor.shutdown()
})

test('B49: a batch that is sent again is processed and in flight once', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch(503, 503), { retry: { initialBackoffMillis: 1 } })
  endSpans(5)
  await processor.flush()
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.processor.span.processed')?.value).toBe(5)
  expect(metrics.get('otel.sdk.exporter.span.exported')?.value).toBe(5)
  expect(metrics.get('otel.sdk.exporter.span.inflight')?.value).toBe(0)
  await processor.shutdown()
})

test('B49: after shutdown the queue is no longer observed', async () => {
  const { processor, endSpans } = pipeline(scriptedFetch())
  endSpans(1)
  await processor.shutdown()
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.processor.span.queue.size')).toBeUndefined()
  expect(metrics.get('otel.sdk.processor.span.queue.capacity')?.value).toBe(0)
})

test('B10: a meter that throws breaks nothing', async () => {
  const throwing = new Proxy(
    {},
    {
      get: () => () => {
        throw new Error('no metrics today')
      },
    },
  )
  const { processor, endSpans } = pipeline(scriptedFetch(), {
    selfObsMeterProvider: throwing as MeterProvider,
    maxQueueSize: 2,
  })
  endSpans(3)
  expect(await processor.flush()).toMatchObject({ exported: 2 })
  await processor.shutdown()
})

test('B10: an instrument that throws breaks nothing', async () => {
  const throws = () => {
    throw new Error('no metrics today')
  }
  const instrument = { add: throws, record: throws, addCallback() {}, removeCallback: throws }
  let adds = 0
  const capacity = { add: () => adds++ }
  const create = () => instrument
  const meter = {
    createCounter: create,
    createHistogram: create,
    createObservableUpDownCounter: create,
    createUpDownCounter: (name: string) => (name.endsWith('capacity') ? capacity : instrument),
  }
  const { processor, endSpans } = pipeline(scriptedFetch(), {
    selfObsMeterProvider: { getMeter: () => meter } as unknown as MeterProvider,
    maxQueueSize: 2,
  })
  endSpans(3)
  expect(await processor.flush()).toMatchObject({ exported: 2 })
  await processor.shutdown()
  expect(adds).toBe(1)
})

/** A provider of meters that run user code when they hear of drops. */
function meterThatRuns(userCode: (count: number, reason: unknown) => void): Pick<MeterProvider, 'getMeter'> {
  return {
    getMeter(name) {
      const meter = meterProvider.getMeter(name)
      const createCounter: typeof meter.createCounter = (...options) => {
        const counter = meter.createCounter(...options)
        return {
          add(count, attributes) {
            counter.add(count, attributes)
            const reason = attributes?.['error.type']
            if (reason !== undefined) userCode(count, reason)
          },
        }
      }
      return Object.assign(Object.create(meter), { createCounter })
    },
  }
}

test('B44: a meter that ends a span whenever it hears of drops spoils none, and does not keep the event loop', async () => {
  const names: string[] = []
  let open: () => void = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const fetch = async (_: unknown, init?: RequestInit) => {
    await opened
    for (const { scopeSpans } of decodeProtobuf(new Uint8Array(init?.body as Uint8Array<ArrayBuffer>))
      .resourceSpans)
      for (const { spans } of scopeSpans) names.push(...spans.map(({ name }) => name))
    return new Response()
  }
  let ended = 0
  let isOn = true
  const { processor } = pipeline(fetch, {
    maxQueueSize: 40,
    maxExportBatchSize: 10,
    selfObsMeterProvider: meterThatRuns(() => {
      // Else it would end one for ever.
      if (isOn && ended < 5000) processor.onEnd(spanNamed(`of the meter ${ended++}`))
    }),
  })
  for (let i = 0; i < 200; i++) {
    processor.onEnd(spanNamed(`span ${i}`, { attributes: { text: 'a'.repeat(500 + i) } }))
    const { ended, dropped, pending } = processor.stats()
    expect(ended).toBe(dropped.queue_full + pending)
    if (i % 20 === 0) await nextTurn()
  }
  // One in each turn of the loop, at most.
  expect(ended).toBeGreaterThan(5)
  expect(ended).toBeLessThan(200)
  isOn = false
  const flushed = processor.flush()
  open()
  expect(await flushed).toMatchObject({ status: 'success', pending: 0 })
  await processor.shutdown()
  const { exported, dropped, ended: all } = processor.stats()
  expect(all).toBe(200 + ended)
  expect(exported + dropped.queue_full).toBe(all)
  expect(new Set(names).size).toBe(exported)
  const metrics = await readMetrics()
  expect(metrics.get('otel.sdk.processor.span.processed{queue_full}')?.value).toBe(dropped.queue_full)
})

test('B49: drops that the meter has not heard of yet are recorded by a shutdown', async () => {
  let recorded = 0
  let isFirst = true
  const { processor } = pipeline(() => new Promise(() => {}), {
    maxQueueSize: 1,
    maxExportBatchSize: 1,
    selfObsMeterProvider: meterThatRuns((count, reason) => {
      if (reason === 'queue_full') recorded += count
      if (isFirst) end(processor, 'c', 'd', 'e')
      isFirst = false
    }),
  })
  end(processor, 'a', 'b')
  await microtasks()
  expect(recorded).toBeLessThan(processor.stats().dropped.queue_full)
  const shutdown = processor.shutdown({ timeoutMillis: 0 })
  expect(recorded).toBe(processor.stats().dropped.queue_full)
  await shutdown
})
