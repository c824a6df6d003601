import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  BatchSpanProcessor as StockProcessor,
} from '@opentelemetry/sdk-trace-base'
import { describe, expect, it, test, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { failover } from '../../src/fan-out.ts'
import { KafkaTraceExporter } from '../../src/kafka.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { type SpoolOptions, spool } from '../../src/spool.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { hangsAfterReading } from '../helpers/misbehaviours.ts'
import { end, names } from '../helpers/processors.ts'
import { filesIn, runningCollector, spansIn, spoolFor, temporaryDirectory } from './spools.ts'

/** Nothing is tried twice before it is written. */
const IMPATIENT = { retry: false, scheduledDelayMillis: 0, circuitBreaker: false } as const

describe('a spool', () => {
  it('writes nothing while the backend answers', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    const exporter = spoolFor(collector, directory)
    const processor = watchedProcessor(exporter)

    end(processor, ...names(1000))
    const result = await processor.flush()

    expect(result).toMatchObject({ status: 'success', exported: 1000 })
    expect(result).not.toHaveProperty('spooled')
    expect(processor.stats()).toMatchObject({ exported: 1000, spooled: 0, pending: 0 })
    expect(filesIn(directory)).toEqual([])
    expect(exporter.stats().written).toEqual({ files: 0, spans: 0 })
  })

  it('takes a batch whose attempts are used up, as a request that anybody can send', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const exporter = spoolFor(collector, directory)
    const processor = watchedProcessor(exporter, IMPATIENT)

    end(processor, ...names(3))
    const result = await processor.flush()

    expect(result).toMatchObject({ status: 'failure', spooled: 3, pending: 0, dropped: 0 })
    expect(result.error).toMatchObject({ code: 'http_status', status: 503 })
    expect(processor.stats()).toMatchObject({ spooled: 3, pending: 0 })
    const [file, ...others] = filesIn(directory)
    expect(others).toEqual([])
    expect(file).toMatch(/^\d{13}-[0-9a-f]{16}\.otlp\.pb$/)
    // As they were sent, for its owner's eyes only.
    expect(readFileSync(join(directory, file!))).toEqual(collector.requests[0]!.body)
    expect(statSync(join(directory, file!)).mode & 0o777).toBe(0o600)
  })

  it('takes everything at once while the breaker is open', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, directory), {
      circuitBreaker: { failureThreshold: 1 },
      maxExportBatchSize: 10,
      scheduledDelayMillis: 0,
    })

    end(processor, 'probe')
    await processor.flush({ timeoutMillis: 5000 })
    const attempts = collector.requests.length
    end(processor, ...names(35))
    const result = await processor.flush({ timeoutMillis: 5000 })

    expect(result).toMatchObject({ status: 'failure', spooled: 35, pending: 0 })
    expect(collector.requests).toHaveLength(attempts)
    expect(spansIn(directory)).toEqual(['probe', ...names(35)])
    expect(filesIn(directory)).toHaveLength(5)
  })

  it('takes full batches without a flush while the breaker is open', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, directory), {
      circuitBreaker: { failureThreshold: 1 },
      maxExportBatchSize: 10,
      scheduledDelayMillis: 0,
    })
    end(processor, 'probe')
    await processor.flush({ timeoutMillis: 5000 })

    end(processor, ...names(10))

    await vi.waitFor(() => expect(processor.stats().spooled).toBe(11))
  })

  it('takes what a flush could not send by its deadline, but not what is on the wire', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(hangsAfterReading())
    const processor = watchedProcessor(spoolFor(collector, directory), {
      maxExportBatchSize: 2,
      scheduledDelayMillis: 0,
    })

    end(processor, ...names(5))
    const result = await processor.flush({ timeoutMillis: 200 })

    expect(result).toMatchObject({ status: 'timeout', pending: 5 })
    await vi.waitFor(() => expect(processor.stats()).toMatchObject({ spooled: 3, pending: 2, inFlight: 2 }))
    expect(spansIn(directory)).toEqual(names(5).slice(2))
  })

  it('takes what a full queue would push out, oldest first', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(hangsAfterReading())
    const processor = watchedProcessor(spoolFor(collector, directory), {
      maxQueueSize: 20,
      maxExportBatchSize: 10,
      scheduledDelayMillis: 0,
    })
    end(processor, ...names(10, 'wire-'))
    await collector.whenRequests(1)

    end(processor, ...names(100))

    // Without letting the event loop turn: most of it has been written at once.
    expect(processor.stats()).toMatchObject({ ended: 110, dropped: { queue_full: 0 } })
    expect(processor.stats().spooled).toBeGreaterThanOrEqual(70)
    await vi.waitFor(() => expect(processor.stats()).toMatchObject({ spooled: 80, pending: 30 }))
    expect(spansIn(directory).sort()).toEqual(names(80).sort())
  })

  it('takes what a shutdown cannot send: after one attempt in an outage', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, directory), {
      maxExportBatchSize: 10,
      scheduledDelayMillis: 0,
    })
    end(processor, ...names(35).slice(0, 9))

    end(processor, ...names(35).slice(9))
    const startedAt = performance.now()
    await processor.shutdown({ timeoutMillis: 20_000 })

    expect(performance.now() - startedAt).toBeLessThan(5000)
    expect(processor.stats()).toMatchObject({ spooled: 35, pending: 0, dropped: { shutdown_timeout: 0 } })
    expect(spansIn(directory)).toEqual(names(35))
  })

  it('takes what a shutdown cannot send: in front of a collector that hangs, within the deadline', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(hangsAfterReading())
    const processor = watchedProcessor(spoolFor(collector, directory), { maxExportBatchSize: 10 })

    end(processor, ...names(35))
    const startedAt = performance.now()
    await processor.shutdown({ timeoutMillis: 1000 })

    expect(performance.now() - startedAt).toBeLessThan(1500)
    expect(processor.stats()).toMatchObject({ spooled: 35, pending: 0, dropped: { shutdown_timeout: 0 } })
    expect(spansIn(directory).sort()).toEqual(names(35).sort())
  })

  it('keeps spans as they are when a queue of objects waits to be encoded', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, directory), { ...IMPATIENT, encodeAt: 'flush' })

    end(processor, ...names(3))
    await processor.flush()

    expect(spansIn(directory)).toEqual(names(3))
  })

  it('serves processors of others, too: what it takes is a success', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const exporter = spoolFor(collector, directory, { timeoutMillis: 1500 })
    const processor = new StockProcessor(exporter)
    const provider = new BasicTracerProvider({ spanProcessors: [processor] })

    provider.getTracer('test').startSpan('of the stock processor').end()
    await processor.forceFlush()
    await processor.shutdown()

    expect(spansIn(directory)).toEqual(['of the stock processor'])
  })

  it('does not take what the backend refuses for good', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(400))
    const processor = watchedProcessor(spoolFor(collector, directory), IMPATIENT)

    end(processor, 'bad')
    await processor.flush()

    expect(processor.stats()).toMatchObject({ failed: 1, spooled: 0 })
    expect(filesIn(directory)).toEqual([])
  })
})

describe('a disk that cannot be written to', () => {
  it('costs one warning, and spans stay in memory', async () => {
    const parent = temporaryDirectory()
    writeFileSync(join(parent, 'file'), '')
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, join(parent, 'file/spool')), {
      circuitBreaker: { failureThreshold: 1 },
      maxExportBatchSize: 10,
      maxQueueSize: 30,
      scheduledDelayMillis: 0,
    })
    const lines = captureDiag()

    end(processor, ...names(20))
    const first = await processor.flush({ timeoutMillis: 3000 })
    end(processor, ...names(40))
    const second = await processor.flush({ timeoutMillis: 3000 })

    expect(first).toMatchObject({ status: 'failure', pending: 20 })
    expect(second.error?.code).toBe('circuit_open')
    expect(processor.stats()).toMatchObject({ spooled: 0, pending: 30, dropped: { queue_full: 30 } })
    const told = lines.filter((line) => line.includes('cannot be written'))
    expect(told).toEqual([expect.stringMatching(/cannot be written to \(ENOTDIR\): spans stay in memory$/)])
  })
})

test.each<[string, unknown, ErrorConstructor, RegExp]>([
  ['no options', undefined, TypeError, /options must be an object, not undefined/],
  ['no directory', {}, TypeError, /directory must be a path, not undefined/],
  ['an empty directory', { directory: '' }, TypeError, /directory must be a path, not ""/],
  ['no bytes', { directory: 'x', maxBytes: 0 }, RangeError, /maxBytes must be a number of at least 1, not 0/],
  ['a text', { directory: 'x', maxAgeMillis: '1' }, TypeError, /maxAgeMillis must be .*, not "1"/],
  ['NaN', { directory: 'x', maxReplaysPerSecond: NaN }, RangeError, /maxReplaysPerSecond .*, not NaN/],
])('B48: %s is an error that names option and value', (_what, options, ErrorType, message) => {
  const make = () => spool(new OTLPTraceExporter(), options as SpoolOptions)
  expect(make).toThrow(ErrorType)
  expect(make).toThrow(message)
})

const json = () => new OTLPTraceExporter({ encoding: 'json' })

test.each<[string, unknown, string]>([
  ['nothing', undefined, 'undefined'],
  ['an exporter of others', new InMemorySpanExporter(), 'an object of class "InMemorySpanExporter"'],
  ['an exporter without a class', Object.create(null), 'an object of class undefined'],
  ['JSON over HTTP', json(), 'otlp_http_json_span_exporter, which encodes json'],
  ['JSON lines', new JsonLinesExporter(), 'JsonLinesExporter, which encodes json'],
  ['a failover of JSON', failover([json(), json()]), 'failover_span_exporter, which encodes json'],
])('B48: %s is no exporter for a spool', (_what, exporter, shown) => {
  expect(() => spool(exporter as never, { directory: 'x' })).toThrow(
    `spool: exporter must be an OTLPTraceExporter that encodes protobuf, not ${shown}`,
  )
})

test('what is spooled for Kafka is no larger than a message', async () => {
  const directory = temporaryDirectory()
  const producer = { send: () => Promise.reject(new Error('no broker')) }
  const kafka = new KafkaTraceExporter({ producer, maxMessageBytes: 4_000 })
  const processor = watchedProcessor(spool(kafka, { directory }), {
    circuitBreaker: { failureThreshold: 1 },
    scheduledDelayMillis: 0,
  })
  end(processor, 'probe')
  await processor.flush({ timeoutMillis: 5000 })

  // No attempt is made that would find out.
  end(processor, ...names(300))
  await processor.flush({ timeoutMillis: 5000 })

  expect(spansIn(directory)).toEqual(['probe', ...names(300)])
  const sizes = filesIn(directory).map((name) => statSync(join(directory, name)).size)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(4_000)
})
