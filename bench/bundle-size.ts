/** What does a page or an edge function download: minified, gzipped, the API excluded, every chunk included? */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { Line, Question } from './harness/question.ts'

const TAILRACE = `export { BatchSpanProcessor, OTLPProtobufTraceExporter } from 'tailrace'`
const stockSource = (sdk: string) => `export { BatchSpanProcessor } from '${sdk}'
export { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'`

async function gzippedBytes(source: string, resolveDir: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir },
    bundle: true,
    splitting: true,
    write: false,
    outdir: join(resolveDir, 'nowhere'),
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['@opentelemetry/api'],
    tsconfigRaw: '{}',
    logLevel: 'error',
  })
  return outputFiles.reduce((bytes, { contents }) => bytes + gzipSync(contents, { level: 9 }).length, 0)
}

export const question: Question = {
  name: 'bundle-size',
  title: 'bundle of the processor and OTLP protobuf over fetch, minified and gzipped',
  async ask({ fixture, sdk }) {
    const stock = (await gzippedBytes(stockSource(sdk), fixture)) / 1000
    const tailrace = (await gzippedBytes(TAILRACE, fixture)) / 1000
    const line: Line = {
      label: 'all chunks',
      unit: 'KB',
      samples: { stock: [stock], tailrace: [tailrace] },
      figures: [tailrace],
      figureUnit: 'KB',
      goal: { required: 12, aim: 10, sense: 'at most' },
      isRatioToStock: false,
    }
    return [line]
  },
}
