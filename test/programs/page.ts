/** A page for the tests in Chromium: they end spans in it and look at its ledger. Its settings come with its address. */
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { WebTracerProvider } from '@opentelemetry/sdk-trace-web'
import { BatchSpanProcessor, type BatchSpanProcessorOptions, OTLPTraceExporter } from 'tailrace'
import { flushOnPageHide } from 'tailrace/browser'

/** What a test asks for, as JSON in the query. */
export interface PageSettings {
  readonly url: string
  readonly encoding?: 'protobuf' | 'json'
  readonly compression?: 'gzip'
  readonly processor?: BatchSpanProcessorOptions
  /** The page's own call of `flushOnPageHide`, with the provider. */
  readonly withProvider?: boolean
}

const {
  url,
  encoding,
  compression,
  processor: options,
  withProvider,
} = JSON.parse(decodeURIComponent(location.search.slice(1))) as PageSettings
const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url, encoding, compression }), {
  scheduledDelayMillis: 0,
  ...options,
})
const provider = new WebTracerProvider({ spanProcessors: [processor] })
if (withProvider) flushOnPageHide(provider)
const tracer = provider.getTracer('page')
const parent = trace.setSpan(context.active(), tracer.startSpan('open'))

const program = {
  processor,
  /** Ends spans `<prefix>-<n>`: every `rootEvery`-th is a root, every `errorEvery`-th an error, the others are neither. */
  end(count: number, prefix: string, { rootEvery = Infinity, errorEvery = Infinity } = {}) {
    for (let n = 0; n < count; n++) {
      const name = `${n % errorEvery === 1 ? 'error-' : n % rootEvery === 2 ? 'root-' : ''}${prefix}-${n}`
      const parentContext = name.startsWith('root-') ? context.active() : parent
      const span = tracer.startSpan(name, { attributes: { 'app.text': 'x'.repeat(200) } }, parentContext)
      if (name.startsWith('error-')) span.setStatus({ code: SpanStatusCode.ERROR })
      span.end()
    }
  },
}

export type PageProgram = typeof program

Object.assign(globalThis, { program })
