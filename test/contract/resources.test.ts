import { detectResources } from '@opentelemetry/resources'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it, vi } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import type { ReadableSpan, SpanExporter } from '../../src/types.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { endSpans } from '../helpers/processors.ts'
import { hasSettled } from '../helpers/settling.ts'

/** What the attributes of the resource were in each export. */
type Exports = Record<string, unknown>[]

function stockExporter(exports: Exports): SpanExporter {
  return {
    export(spans: ReadableSpan[], done) {
      exports.push({ ...spans[0]!.resource.attributes })
      done({ code: 0 })
    },
    shutdown: async () => {},
  }
}

function otlpExporter(exports: Exports): SpanExporter {
  return new OTLPTraceExporter({
    url: 'http://collector.test/v1/traces',
    async fetch(_url, { body }) {
      const { resourceSpans } = decodeProtobuf(body as Uint8Array)
      const { attributes } = resourceSpans[0]!.resource
      exports.push(Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]])))
      return new Response()
    },
  })
}

/** A processor whose spans have a resource with `attributes`, some of them promises. */
function setUp(exporter: SpanExporter, attributes: Record<string, unknown>, encodeAt?: 'end' | 'flush') {
  const processor: BatchSpanProcessor = watchedProcessor(exporter, { encodeAt })
  const resource = detectResources({ detectors: [{ detect: () => ({ attributes: attributes as never }) }] })
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] })
  return { processor, tracer: provider.getTracer('test') }
}

describe.each([
  ['a stock exporter', stockExporter, 'end'],
  ['the OTLP exporter', otlpExporter, 'end'],
  ['the OTLP exporter, encoding at flush', otlpExporter, 'flush'],
] as const)('a resource with attributes pending, with %s', (_name, exporterOf, encodeAt) => {
  it('B30: is waited for', async () => {
    const exports: Exports = []
    let settle: (id: string) => void = () => {}
    const id = new Promise((resolve) => {
      settle = resolve
    })
    const { processor, tracer } = setUp(
      exporterOf(exports),
      { 'service.name': 'shop', 'host.id': id },
      encodeAt,
    )
    endSpans(tracer, 1)
    const flushed = processor.flush()
    expect(await hasSettled(flushed)).toBe(false)
    expect(exports).toEqual([])
    settle('host-1')
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
    expect(exports).toEqual([{ 'service.name': 'shop', 'host.id': 'host-1' }])
    endSpans(tracer, 1)
    expect(await processor.flush()).toMatchObject({ exported: 1 })
    expect(exports[1]).toEqual({ 'service.name': 'shop', 'host.id': 'host-1' })
  })

  it('B30: is waited for 5 s at most, and then exported with what has settled', async () => {
    vi.useFakeTimers()
    const exports: Exports = []
    const never = new Promise(() => {})
    const { processor, tracer } = setUp(exporterOf(exports), { 'service.name': 'shop', never }, encodeAt)
    endSpans(tracer, 2)
    const flushed = processor.flush({ timeoutMillis: 20_000 })
    await vi.advanceTimersByTimeAsync(4_999)
    expect(await hasSettled(flushed)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await flushed).toMatchObject({ status: 'success', exported: 2 })
    expect(exports).toHaveLength(1)
    expect(exports[0]).toMatchObject({ 'service.name': 'shop' })
  })

  it('B30: a flush with a short deadline does not wait in vain', async () => {
    vi.useFakeTimers()
    const exports: Exports = []
    const never = new Promise(() => {})
    const { processor, tracer } = setUp(exporterOf(exports), { 'service.name': 'shop', never }, encodeAt)
    endSpans(tracer, 1)
    const flushed = processor.flush({ timeoutMillis: 1_000 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
  })

  it('B30: the rejection of one attribute loses neither the batch nor the others', async () => {
    const exports: Exports = []
    const attributes = {
      'service.name': 'shop',
      'host.id': Promise.reject(new Error('no metadata service')),
      'cloud.region': Promise.resolve('eu-north-1'),
    }
    const { processor, tracer } = setUp(exporterOf(exports), attributes, encodeAt)
    endSpans(tracer, 1)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 1 })
    expect(exports[0]).toMatchObject({ 'service.name': 'shop', 'cloud.region': 'eu-north-1' })
  })
})
