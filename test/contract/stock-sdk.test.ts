/** With the real SDKs: our exporters under the stock processors, and the stock exporters under our processor. */
import { ExportResultCode } from '@opentelemetry/core'
import { OTLPTraceExporter as StockOTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import * as sdk2 from '@opentelemetry/sdk-trace-base'
import * as sdk1 from 'sdk-trace-base-1'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ExportResult, JsonLinesExporter, OTLPTraceExporter } from '../../src/index.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { namesOf } from '../helpers/gates.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers, type Behaviour, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeJson } from '../helpers/otlp-schema.ts'
import { endSpans, spanNamed } from '../helpers/processors.ts'

const SDKS = [
  ['SDK 2.12', sdk2],
  ['SDK 1.30', sdk1],
] as const

const PROCESSORS = ['BatchSpanProcessor', 'SimpleSpanProcessor'] as const

let collector: Collector
/** The names of the spans in the requests that the collector has answered with 200. */
let accepted: string[]
/** Requests that the collector has not answered yet, and the most that there ever were. */
let running: number
let mostRunning: number

beforeEach(async () => {
  accepted = []
  running = 0
  mostRunning = 0
  collector = await startCollector()
  collector.otherwise(accepts())
})

afterEach(() => collector.stop())

/** Answers a turn later, so that a second request can come beside. */
function accepts(): Behaviour {
  return {
    stage: 'request',
    act(socket, request) {
      mostRunning = Math.max(mostRunning, ++running)
      accepted.push(...namesOf(request!.body))
      setImmediate(() => {
        running--
        answers(200).act(socket, request)
      })
    },
  }
}

function namesIn(lines: string[]): string[] {
  return lines.flatMap((line) =>
    decodeJson(Buffer.from(line)).resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name)),
    ),
  )
}

describe.each(SDKS)('under the stock processors of %s', (_, sdk) => {
  /** A stock processor of that SDK, and a tracer whose spans go to it. */
  function stock(kind: (typeof PROCESSORS)[number], exporter: OTLPTraceExporter | JsonLinesExporter) {
    const processor =
      kind === 'BatchSpanProcessor'
        ? new sdk.BatchSpanProcessor(exporter, { maxExportBatchSize: 5, scheduledDelayMillis: 3_600_000 })
        : new sdk.SimpleSpanProcessor(exporter)
    const spanProcessors = [processor as unknown as sdk1.SpanProcessor & sdk2.SpanProcessor]
    return {
      processor,
      tracer: new sdk.BasicTracerProvider({ spanProcessors }).getTracer('stock'),
      async flush(): Promise<void> {
        await processor.forceFlush()
        // The stock BatchSpanProcessor does not wait for the export that was under way.
        await exporter.forceFlush()
      },
    }
  }

  describe.each(PROCESSORS)('%s', (kind) => {
    test('B42: OTLPTraceExporter sends every span, once', async () => {
      const { processor, tracer, flush } = stock(kind, new OTLPTraceExporter({ url: collector.url }))
      const names = endSpans(tracer, 23)
      await flush()
      expect(accepted.toSorted()).toEqual(names.toSorted())
      const later = endSpans(tracer, 7, 'later-')
      await flush()
      await processor.shutdown()
      expect(accepted.toSorted()).toEqual([...later, ...names].toSorted())
    })

    test('B42: JsonLinesExporter writes every span, once', async () => {
      const lines: string[] = []
      const { processor, tracer, flush } = stock(
        kind,
        new JsonLinesExporter({ write: (line) => void lines.push(line) }),
      )
      const names = endSpans(tracer, 23)
      await flush()
      await processor.shutdown()
      expect(namesIn(lines).toSorted()).toEqual(names.toSorted())
    })

    test('B32: what a collector answers with 503 is sent again by OTLPTraceExporter itself', async () => {
      collector.script(answers(503))
      const { processor, tracer, flush } = stock(kind, new OTLPTraceExporter({ url: collector.url }))
      const names = endSpans(tracer, 3)
      await flush()
      await processor.shutdown()
      expect(accepted.toSorted()).toEqual(names)
      expect(collector.requests).toHaveLength(kind === 'BatchSpanProcessor' ? 2 : 4)
    })

    test.each([
      ['OTLPTraceExporter', () => new OTLPTraceExporter({ url: collector.url })],
      ['JsonLinesExporter', () => new JsonLinesExporter({ write: (line) => void accepted.push(line) })],
    ] as const)(
      'B12: %s that was shut down reports FAILED, and the processor tells it',
      async (_, create) => {
        const told = captureDiag()
        const exporter = create()
        const { processor, tracer } = stock(kind, exporter)
        await exporter.shutdown()

        const result = await new Promise<ExportResult>((resolve) =>
          exporter.export([spanNamed('a')], resolve),
        )
        endSpans(tracer, 1)
        await processor.forceFlush().catch((error: Error) => told.push(error.message))
        await processor.shutdown()

        expect(result).toMatchObject({ code: ExportResultCode.FAILED, error: { code: 'exporter_shutdown' } })
        await vi.waitFor(() => expect(told.join('\n')).toContain('the exporter has been shut down'))
        expect(accepted).toEqual([])
        expect(collector.connectionCount).toBe(0)
      },
    )
  })
})

/** Counts the calls of `export`, and how many have not been answered, from outside. */
function watchExports(exporter: Pick<sdk2.SpanExporter, 'export'>): { sizes: number[]; mostRunning: number } {
  const watch = { sizes: [] as number[], mostRunning: 0 }
  const original = exporter.export.bind(exporter)
  let running = 0
  vi.spyOn(exporter, 'export').mockImplementation((spans, resultCallback) => {
    watch.sizes.push(spans.length)
    watch.mostRunning = Math.max(watch.mostRunning, ++running)
    original(spans, (result) => {
      running--
      resultCallback(result)
    })
  })
  return watch
}

describe.each(SDKS)('the stock exporters of %s under our processor', (_, sdk) => {
  /** In batches of 5, by a tracer of that SDK. */
  function under(exporter: sdk1.SpanExporter | sdk2.SpanExporter) {
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 5, scheduledDelayMillis: 0 })
    const provider = new sdk.BasicTracerProvider({ spanProcessors: [processor] })
    return { processor, provider, tracer: provider.getTracer('ours') }
  }

  test('B4: InMemorySpanExporter gets 200 spans in 40 exports of 5, one at a time, each span once', async () => {
    const exporter = new sdk.InMemorySpanExporter()
    const watch = watchExports(exporter as sdk2.InMemorySpanExporter)
    const { processor, tracer } = under(exporter)
    const names = endSpans(tracer, 200)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 200 })
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(names)
    expect(watch).toEqual({ sizes: Array(40).fill(5), mostRunning: 1 })
  })

  test('B63: InMemorySpanExporter has every span after the forceFlush of the provider, and none after its shutdown', async () => {
    const exporter = new sdk.InMemorySpanExporter()
    const { processor, provider, tracer } = under(exporter)
    const names = endSpans(tracer, 12)
    await provider.forceFlush()
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(names)
    await provider.shutdown()
    expect(exporter.getFinishedSpans()).toEqual([])
    expect(processor.stats()).toMatchObject({ ended: 12, exported: 12 })
  })

  test('B28: InMemorySpanExporter that its owner has stopped fails each batch once, and the processor stays usable', async () => {
    const exporter = new sdk.InMemorySpanExporter()
    await exporter.shutdown()
    const { processor, tracer } = under(exporter)
    endSpans(tracer, 10)
    expect(await processor.flush()).toMatchObject({ status: 'failure', failed: 10, pending: 0 })
    endSpans(tracer, 1)
    expect(await processor.flush()).toMatchObject({ status: 'failure', failed: 1, pending: 0 })
  })

  test('B4: ConsoleSpanExporter prints 200 spans in 40 exports of 5, one at a time, each span once', async () => {
    const printed = vi.spyOn(console, 'dir').mockImplementation(() => {})
    const exporter = new sdk.ConsoleSpanExporter()
    const watch = watchExports(exporter as sdk2.ConsoleSpanExporter)
    const { processor, tracer } = under(exporter)
    const names = endSpans(tracer, 200)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 200 })
    expect(printed.mock.calls.map(([span]) => (span as { name: string }).name)).toEqual(names)
    expect(watch).toEqual({ sizes: Array(40).fill(5), mostRunning: 1 })
  })
})

describe('the stock OTLP exporter under our processor', () => {
  test('B4, B31: it gets 200 spans in 40 requests of 5, one at a time, each span once, in protobuf', async () => {
    const exporter = new StockOTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 5, scheduledDelayMillis: 0 })
    const provider = new sdk2.BasicTracerProvider({ spanProcessors: [processor] })
    const names = endSpans(provider.getTracer('ours'), 200)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 200 })
    expect(accepted).toEqual(names)
    expect(mostRunning).toBe(1)
    expect(collector.requests.map(({ body }) => namesOf(body).length)).toEqual(Array(40).fill(5))
    for (const { path, headers } of collector.requests) {
      expect([path, headers['content-type']]).toEqual(['/v1/traces', 'application/x-protobuf'])
    }
    await provider.shutdown()
  })
})
