/** The stock exporters that are older than OTLP, under our processor. */
import { ZipkinExporter } from '@opentelemetry/exporter-zipkin'
import { createConsoleExporter } from './sdk.js'
import { exportUnderOurs } from './under-ours.js'

export async function run(backend: string): Promise<unknown> {
  return exportUnderOurs([new ZipkinExporter({ url: `${backend}/api/v2/spans` }), createConsoleExporter()])
}
