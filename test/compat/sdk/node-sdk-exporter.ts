/** Our exporter in a NodeSDK, which puts its own processor in front of it. */
import { NodeSDK } from '@opentelemetry/sdk-node'
import { OTLPTraceExporter } from 'tailrace'
import { endSpans } from './spans.js'

export async function run(backend: string): Promise<void> {
  const traceExporter = new OTLPTraceExporter({ url: `${backend}/v1/traces` })
  const sdk = new NodeSDK({ serviceName: 'shop', traceExporter })
  sdk.start()
  endSpans('a', 'b')
  await sdk.shutdown()
}
