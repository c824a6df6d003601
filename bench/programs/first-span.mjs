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

/** Posts a span that was encoded beforehand and is empty. */
async function sendBareRequest() {
  const { request } = process.getBuiltinModule?.('node:http') ?? (await import('node:http'))
  const body = Uint8Array.of(0x0a, 4, 0x12, 2, 0x12, 0)
  await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/x-protobuf', 'content-length': body.length }
    request(url, { method: 'POST', headers }, (response) => response.resume().once('end', resolve))
      .once('error', reject)
      .end(body)
  })
}

function endSpan(processor) {
  const Provider = sdk.BasicTracerProvider ?? sdk.TracerProvider
  const provider = new Provider({ spanProcessors: [processor] })
  const span = provider.getTracer('shop').startSpan('GET /', { attributes: { 'http.request.method': 'GET' } })
  span.setAttribute('http.response.status_code', 200)
  span.end()
}

if (variant === 'floor') {
  endSpan({ onStart() {}, onEnd() {}, async forceFlush() {}, async shutdown() {} })
  await sendBareRequest()
} else {
  const processor = await createProcessor()
  endSpan(processor)
  await processor.forceFlush()
}
const end = performance.now()
const sample = { millis: end - start, afterSdkMillis: end - sdkImported, delivered: 1 }
process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit())
