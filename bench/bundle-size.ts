/** What does a page or an edge function download: minified, gzipped, the API excluded, every chunk included? */
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import type { Line, Question } from './harness/question.ts'

const TAILRACE = `export { BatchSpanProcessor, OTLPProtobufTraceExporter } from 'tailrace'`
const stockSource = (sdk: string) => `export { BatchSpanProcessor } from '${sdk}'
export { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'`

const edge = {
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  external: ['@opentelemetry/api'],
  tsconfigRaw: '{}',
  logLevel: 'error',
} satisfies BuildOptions

async function gzippedBytes(source: string, resolveDir: string): Promise<number> {
  const { outputFiles } = await build({
    ...edge,
    stdin: { contents: source, resolveDir },
    write: false,
    outdir: join(resolveDir, 'nowhere'),
  })
  return outputFiles.reduce((bytes, { contents }) => bytes + gzipSync(contents, { level: 9 }).length, 0)
}

/** The minified bytes of tailrace's own code, by the folder that they come from; what lies in none is `the rest`. */
async function bytesByFolder(): Promise<Map<string, number>> {
  const root = fileURLToPath(new URL('../src/', import.meta.url))
  const { metafile } = await build({
    ...edge,
    stdin: { contents: TAILRACE.replace("'tailrace'", "'./index.ts'"), resolveDir: root },
    alias: { '#transport': join(root, 'transport/fetch.ts') },
    absWorkingDir: root,
    write: false,
    outdir: 'nowhere',
    metafile: true,
  })
  const folders = new Map<string, number>()
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const path = relative(root, join(root, input)).split('/')
      const folder = path.length > 1 ? `${path[0]}/` : 'the rest'
      folders.set(folder, (folders.get(folder) ?? 0) + bytesInOutput)
    }
  }
  return folders
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
    const parts: Line[] = Array.from(await bytesByFolder(), ([folder, bytes]) => ({
      label: `of it ${folder}, not gzipped`,
      unit: 'KB',
      samples: { tailrace: [bytes / 1000] },
      figures: [bytes / 1000],
      figureUnit: 'KB',
      isRatioToStock: false,
    }))
    return [line, ...parts.sort((a, b) => b.figures[0] - a.figures[0])]
  },
}
