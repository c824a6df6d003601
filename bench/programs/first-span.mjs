// A cold process from its first import to its first span delivered.
const start = performance.now()
const { variant, settings } = JSON.parse(process.argv[2])
const { url } = settings
const sdk = await import(settings.sdk)
const sdkImported = performance.now()

async function createProcessor() {
  if (variant === 'tailrace') {
    const { BatchSpanProcessor, OTLPTraceExporter } = await import('tailrace')
    return new BatchSpanProcessor(new OTLPTraceExporter({ url }))
  }
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto')
  const exporter = new OTLPTraceExporter({ url })
  return sdk.BasicTracerProvider
    ? new sdk.BatchSpanProcessor(exporter)
    : new sdk.BatchSpanProcessor({ exporter })
}

const processor = await createProcessor()
const Provider = sdk.BasicTracerProvider ?? sdk.TracerProvider
const provider = new Provider({ spanProcessors: [processor] })
const span = provider.getTracer('shop').startSpan('GET /', { attributes: { 'http.request.method': 'GET' } })
span.setAttribute('http.response.status_code', 200)
span.end()
await processor.forceFlush()
const end = performance.now()
const sample = { millis: end - start, afterSdkMillis: end - sdkImported, delivered: 1 }
process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit())
