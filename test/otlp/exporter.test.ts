import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OTLPProtobufTraceExporter, OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import type { FetchFunction } from '../../src/transport/transport.ts'
import { type ExportResult, type PipelineExporter, pipelineExporter } from '../../src/types.ts'
import { attempt, batchOf, senderOf } from '../helpers/attempts.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeJson, decodeProtobuf } from '../helpers/otlp-schema.ts'
import { handMadeSpan } from '../helpers/spans.ts'

let collector: Collector
beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) vi.stubEnv(name, undefined)
  collector = await startCollector()
})
afterEach(() => collector.stop())

/** To the collector. */
function sender(options: OTLPTraceExporterOptions = {}): PipelineExporter {
  return senderOf({ url: collector.url, ...options })
}

describe('the exporter', () => {
  it('B12: used after its shutdown fails at once, without a request', async () => {
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const side = exporter[pipelineExporter]()!
    await exporter.shutdown()
    await exporter.shutdown()
    const result = await new Promise<ExportResult>((resolve) => exporter.export([handMadeSpan()], resolve))
    expect(result).toMatchObject({ code: 1, error: { code: 'exporter_shutdown' } })
    expect(await side.send(batchOf(1), attempt())).toMatchObject({
      kind: 'final',
      error: { code: 'exporter_shutdown' },
    })
    expect(collector.connectionCount).toBe(0)
  })

  it('B12: closes its connections when it is shut down', async () => {
    const exporter = sender()
    await exporter.send(batchOf(1), attempt())
    expect(collector.openConnections).toBe(1)
    await exporter.shutdown()
    await collector.whenClosed(1)
  })

  it.each([
    ['protobuf', decodeProtobuf],
    ['json', decodeJson],
  ] as const)('B42: is an ordinary SpanExporter, too, in %s', async (encoding, decode) => {
    const exporter = new OTLPTraceExporter({ url: collector.url, encoding })
    const result = await new Promise<ExportResult>((resolve) => {
      exporter.export([handMadeSpan({ name: 'one' }), handMadeSpan({ name: 'two' })], resolve)
    })
    expect(result).toEqual({ code: 0 })
    const { resourceSpans } = decode(collector.requests[0]!.body)
    expect(resourceSpans[0]!.scopeSpans[0]!.spans.map(({ name }) => name)).toEqual(['one', 'two'])
    await exporter.forceFlush()
    await exporter.shutdown()
  })

  it('the one for protobuf alone takes no other encoding, and says so once when the environment asks for it', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json')
    const lines = captureDiag()
    const exporter = new OTLPProtobufTraceExporter({ url: collector.url })
    new OTLPProtobufTraceExporter({ url: collector.url })
    await new Promise<ExportResult>((resolve) => exporter.export([handMadeSpan({ name: 'one' })], resolve))

    expect(collector.requests[0]!.headers['content-type']).toBe('application/x-protobuf')
    expect(decodeProtobuf(collector.requests[0]!.body).resourceSpans[0]!.scopeSpans[0]!.spans[0]!.name).toBe(
      'one',
    )
    expect(lines).toEqual([
      'tailrace: OTLPProtobufTraceExporter has no http/json, which the environment asks for: protobuf is sent',
    ])
    const options: OTLPTraceExporterOptions = { encoding: 'json' }
    expect(() => new OTLPProtobufTraceExporter(options)).toThrow(
      new RangeError('OTLPTraceExporter: encoding must be protobuf, not json'),
    )
    expect(new OTLPProtobufTraceExporter()[pipelineExporter]()).toBeDefined()
  })

  it('B64: offers no encoded side when a subclass overrides `export`', () => {
    class Redacting extends OTLPTraceExporter {
      override export(...parameters: Parameters<OTLPTraceExporter['export']>): void {
        super.export(...parameters)
      }
    }
    class Renamed extends OTLPTraceExporter {}
    expect(new Redacting()[pipelineExporter]()).toBeUndefined()
    expect(new Renamed()[pipelineExporter]()).toBeDefined()
    const patched = new OTLPTraceExporter()
    patched.export = () => {}
    expect(patched[pipelineExporter]()).toBeUndefined()
  })

  it('B48: has the specified defaults', () => {
    const exporter = new OTLPTraceExporter()[pipelineExporter]()!
    expect(exporter.timeoutMillis).toBe(10_000)
    expect(exporter.attemptTimeoutMillis).toBeUndefined()
    expect(exporter.maxRequestBytes).toBe(64 * 1024 * 1024)
  })

  it('B47: goes to localhost:4318/v1/traces by default', async () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    await new OTLPTraceExporter({ fetch })[pipelineExporter]()!.send(batchOf(1), attempt())
    expect(fetch.mock.calls[0]![0]).toBe('http://localhost:4318/v1/traces')
  })

  it('B47: takes everything from the environment that the options leave open', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', collector.url.replace('/v1/traces', '/otlp'))
    vi.stubEnv('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json')
    vi.stubEnv('OTEL_EXPORTER_OTLP_COMPRESSION', 'gzip')
    vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '1234')
    const exporter = new OTLPTraceExporter()[pipelineExporter]()!
    expect(exporter.timeoutMillis).toBe(1234)
    await exporter.send(batchOf(1), attempt())
    const [request] = collector.requests
    expect(request!.path).toBe('/otlp/v1/traces')
    expect(request!.headers).toMatchObject({ 'content-type': 'application/json', 'content-encoding': 'gzip' })
  })

  it('B47: options stand above the environment', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://elsewhere.example')
    vi.stubEnv('OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json')
    vi.stubEnv('OTEL_EXPORTER_OTLP_COMPRESSION', 'gzip')
    vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '1234')
    const exporter = sender({ encoding: 'protobuf', compression: 'none', timeoutMillis: 5 })
    expect(exporter.timeoutMillis).toBe(5)
    await exporter.send(batchOf(1), attempt())
    expect(collector.requests[0]!.headers['content-type']).toBe('application/x-protobuf')
    expect(collector.requests[0]!.headers).not.toHaveProperty('content-encoding')
  })

  it('B47: a timeout of 0 means no limit', () => {
    expect(sender({ timeoutMillis: 0 }).timeoutMillis).toBeUndefined()
    vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '0')
    expect(sender().timeoutMillis).toBeUndefined()
    expect(sender({ attemptTimeoutMillis: 0 }).attemptTimeoutMillis).toBeUndefined()
  })
})

describe('importing and constructing', () => {
  it('B56: starts no timer, opens nothing and adds no global', async () => {
    vi.resetModules()
    const globals = Reflect.ownKeys(globalThis)
    const spies = [
      vi.spyOn(globalThis, 'setTimeout'),
      vi.spyOn(globalThis, 'setInterval'),
      vi.spyOn(globalThis, 'fetch'),
    ]
    const exporterModule = await import('../../src/otlp/exporter.ts')
    new exporterModule.OTLPTraceExporter({ url: collector.url, compression: 'gzip' })[pipelineExporter]()
    for (const spy of spies) expect(spy).not.toHaveBeenCalled()
    expect(Reflect.ownKeys(globalThis)).toEqual(globals)
    expect(collector.connectionCount).toBe(0)
  })
})
