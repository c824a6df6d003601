/**
 * What users of an SDK do with tailrace, one scenario a process. test/compat type-checks it with each SDK beside it as
 * sdk.ts, compiles it to ES modules and to CommonJS, and runs it: `node program.js <scenario> <backend>`.
 */
import { createRequire } from 'node:module'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter as StockJsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as StockProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { ZipkinExporter } from '@opentelemetry/exporter-zipkin'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { BatchSpanProcessor, InMemorySpanExporter, JsonLinesExporter, OTLPTraceExporter } from 'tailrace'
import {
  createBatchSpanProcessor,
  createConsoleExporter,
  createSimpleSpanProcessor,
  register,
  type SpanExporter,
  type SpanProcessor,
} from './sdk.js'

const [, file = '', scenario = '', backend = ''] = process.argv
const url = `${backend}/v1/traces`

/** A request to a server of this process, within a span: both its sides are instrumented. */
async function serveOneRequest(): Promise<void> {
  // The instrumentation patches what is loaded after it by `require`.
  createRequire(file)('node:http')
  const { exchange } = await import('./exchange.js')
  await trace.getTracer('program').startActiveSpan('work', async (span) => {
    await exchange()
    span.setStatus({ code: SpanStatusCode.OK }).end()
  })
}

function endSpans(...names: string[]): void {
  for (const name of names)
    trace
      .getTracer('program')
      .startSpan(name, { attributes: { app: 'shop' } })
      .end()
}

const scenarios: Record<string, () => Promise<unknown>> = {
  /** Our processor and exporter with a provider and the HTTP instrumentation. */
  async provider() {
    const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 0 })
    const provider = register([processor])
    registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
    await serveOneRequest()
    await provider.forceFlush()
    const flushed = processor.stats()
    endSpans('last')
    const late = trace.getTracer('program').startSpan('late')
    await provider.shutdown()
    late.end()
    return { flushed, shutDown: processor.stats() }
  },

  /** Our processor in a NodeSDK. */
  async 'node-sdk'() {
    const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url, encoding: 'json' }))
    const sdk = new NodeSDK({
      serviceName: 'shop',
      spanProcessors: [processor],
      instrumentations: [new HttpInstrumentation()],
    })
    sdk.start()
    await serveOneRequest()
    await sdk.shutdown()
    return processor.stats()
  },

  /** Our exporter in a NodeSDK, which puts its own processor in front of it. */
  async 'node-sdk-exporter'() {
    const sdk = new NodeSDK({ serviceName: 'shop', traceExporter: new OTLPTraceExporter({ url }) })
    sdk.start()
    endSpans('a', 'b')
    await sdk.shutdown()
  },

  /** Our exporters under their processors. */
  async 'stock-processors'() {
    const lines: string[] = []
    const inMemory = new InMemorySpanExporter()
    const exporters = {
      protobuf: new OTLPTraceExporter({ url, headers: { 'x-via': 'protobuf' } }),
      json: new OTLPTraceExporter({ url, headers: { 'x-via': 'json' }, encoding: 'json' }),
      gzip: new OTLPTraceExporter({ url, headers: { 'x-via': 'gzip' }, compression: 'gzip' }),
      lines: new JsonLinesExporter({ write: (line) => void lines.push(line) }),
      inMemory,
    }
    const batching = Object.values(exporters).map(createBatchSpanProcessor)
    const simple = createSimpleSpanProcessor(new OTLPTraceExporter({ url, headers: { 'x-via': 'simple' } }))
    const provider = register([...batching, simple])
    endSpans('a', 'b')
    await provider.forceFlush()
    const kept = inMemory.getFinishedSpans().map(({ name }) => name)
    endSpans('c')
    await provider.shutdown()
    return { lines, kept }
  },

  /** Their exporters under our processor. */
  async 'stock-exporters'() {
    const exporters: SpanExporter[] = [
      new StockProtobufExporter({ url, headers: { 'x-via': 'protobuf' } }),
      new StockJsonExporter({ url, headers: { 'x-via': 'json' } }),
      new ZipkinExporter({ url: `${backend}/api/v2/spans` }),
      createConsoleExporter(),
    ]
    const processors = exporters.map((exporter) => new BatchSpanProcessor(exporter))
    const spanProcessors: SpanProcessor[] = processors
    const provider = register(spanProcessors)
    registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
    endSpans('a', 'b')
    await provider.forceFlush()
    const flushed = processors.map((processor) => processor.stats().exported)
    endSpans('c')
    await provider.shutdown()
    return { flushed, stats: processors.map((processor) => processor.stats()) }
  },
}

scenarios[scenario]?.().then((result) => {
  process.send?.({ result })
  process.disconnect?.()
})
