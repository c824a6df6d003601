/** Our processor in a NodeSDK. */
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { serveOneRequest } from './spans.js'

export async function run(backend: string): Promise<unknown> {
  const exporter = new OTLPTraceExporter({ url: `${backend}/v1/traces`, encoding: 'json' })
  const processor = new BatchSpanProcessor(exporter)
  const sdk = new NodeSDK({
    serviceName: 'shop',
    spanProcessors: [processor],
    instrumentations: [new HttpInstrumentation()],
  })
  sdk.start()
  await serveOneRequest()
  await sdk.shutdown()
  return processor.stats()
}
