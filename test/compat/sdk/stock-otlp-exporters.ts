/** The stock OTLP exporters under our processor. */
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { exportUnderOurs } from './under-ours.js'

export async function run(backend: string): Promise<unknown> {
  const url = `${backend}/v1/traces`
  return exportUnderOurs([
    new ProtobufExporter({ url, headers: { 'x-via': 'protobuf' } }),
    new JsonExporter({ url, headers: { 'x-via': 'json' } }),
  ])
}
