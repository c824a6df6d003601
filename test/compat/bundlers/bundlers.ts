/** The bundlers, as users configure them for a platform, on the package as it is installed from the tarball. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectFolder } from '../consumers.ts'

export type Platform = 'node' | 'browser' | 'workerd'

/** A bundler as the table in README has it. */
export interface Bundler {
  readonly name: string
  readonly version: string
  /** Bundles `entry` into `outfile`, an ES module that needs nothing else. @throws with what the bundler says. */
  bundle(entry: string, outfile: string, platform: Platform): Promise<void>
}

export const folder: string = projectFolder('bundlers')
const require = createRequire(join(folder, 'package.json'))

const CONDITIONS: Record<Platform, string[]> = {
  node: ['node'],
  browser: ['browser'],
  workerd: ['workerd', 'worker', 'browser'],
}

function versionOf(name: string): string {
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

/** Loads a package of the project, which this one's types know nothing of. */
async function load<Module>(name: string): Promise<Module> {
  return (await import(pathToFileURL(require.resolve(name)).href)) as Module
}

const esbuild: Bundler = {
  name: 'esbuild',
  version: versionOf('esbuild'),
  async bundle(entry, outfile, platform) {
    const { build } = await load<typeof import('esbuild')>('esbuild')
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      minify: true,
      format: 'esm',
      platform: platform === 'node' ? 'node' : 'browser',
      ...(platform === 'workerd' && { conditions: CONDITIONS.workerd }),
      // What is CommonJS in the SDK requires modules of Node.
      ...(platform === 'node' && {
        banner: {
          js: "import { createRequire } from 'module';const require = createRequire(import.meta.url);",
        },
      }),
      logLevel: 'silent',
    })
  },
}

interface Rollup {
  rollup(options: object): Promise<{ write(options: object): Promise<unknown>; close(): Promise<void> }>
}

const rollup: Bundler = {
  name: 'rollup',
  version: versionOf('rollup'),
  async bundle(entry, outfile, platform) {
    const { rollup: start } = await load<Rollup>('rollup')
    const { nodeResolve } = await load<{ nodeResolve(options: object): object }>(
      '@rollup/plugin-node-resolve',
    )
    const { default: commonjs } = await load<{ default(): object }>('@rollup/plugin-commonjs')
    const isNode = platform === 'node'
    const bundle = await start({
      input: entry,
      plugins: [
        nodeResolve({
          browser: !isNode,
          preferBuiltins: isNode,
          exportConditions: [...CONDITIONS[platform], 'module', 'import', 'default'],
        }),
        commonjs(),
      ],
      onwarn(warning: { code: string; message: string }) {
        // The API's modules import each other in circles, and its `this` is that of TypeScript's helpers.
        if (['CIRCULAR_DEPENDENCY', 'THIS_IS_UNDEFINED'].includes(warning.code)) return
        throw new Error(warning.message)
      },
    })
    await bundle.write({ file: outfile, format: 'es', inlineDynamicImports: true })
    await bundle.close()
  },
}

interface WebpackStats {
  hasErrors(): boolean
  hasWarnings(): boolean
  toString(options: object): string
}

type Webpack = (options: object, done: (error: Error | null, stats?: WebpackStats) => void) => void

const webpack: Bundler = {
  name: 'webpack',
  version: versionOf('webpack'),
  async bundle(entry, outfile, platform) {
    const run = require('webpack') as Webpack
    const { dir, base } = { dir: join(outfile, '..'), base: outfile.slice(join(outfile, '..').length + 1) }
    await new Promise<void>((resolve, reject) => {
      run(
        {
          mode: 'production',
          entry,
          context: folder,
          target: { node: 'node20', browser: 'web', workerd: 'webworker' }[platform],
          experiments: { outputModule: true },
          output: { path: dir, filename: base, library: { type: 'module' }, chunkLoading: false },
          optimization: { splitChunks: false },
          module: { parser: { javascript: { dynamicImportMode: 'eager' } } },
          resolve: { conditionNames: [...CONDITIONS[platform], 'module', 'import', 'require', 'default'] },
          performance: { hints: false },
        },
        (error, stats) => {
          if (error) reject(error)
          else if (stats?.hasErrors() || stats?.hasWarnings())
            reject(new Error(stats.toString({ all: false, errors: true, warnings: true })))
          else resolve()
        },
      )
    })
  },
}

interface Vite {
  build(options: object): Promise<unknown>
}

const vite: Bundler = {
  name: 'Vite',
  version: versionOf('vite'),
  async bundle(entry, outfile, platform) {
    const { build } = await load<Vite>('vite')
    const isNode = platform === 'node'
    const outDir = join(outfile, '..')
    const output = { entryFileNames: outfile.slice(outDir.length + 1), codeSplitting: false }
    await build({
      configFile: false,
      root: folder,
      logLevel: 'error',
      ...(isNode
        ? { ssr: { noExternal: true } }
        : { resolve: { conditions: [...CONDITIONS[platform], 'module', 'import', 'default'] } }),
      build: {
        outDir,
        emptyOutDir: false,
        minify: true,
        ...(isNode ? { ssr: entry } : { lib: { entry, formats: ['es'] } }),
        rolldownOptions: { output },
      },
    })
  },
}

export const BUNDLERS: readonly Bundler[] = [esbuild, rollup, webpack, vite]

const STARTS: Record<Platform, string> = {
  node: 'deliver(process.argv[2]).then((result) => { process.send({ result }); process.disconnect() })',
  browser: 'globalThis.deliver = deliver',
  workerd: `export default {
    async fetch(request) {
      return Response.json(await deliver(new URL(request.url).searchParams.get('url')))
    },
  }`,
}

/** Writes the program's entry for a platform beside the program. @returns Its path. */
export function entryOf(program: string, platform: Platform): string {
  const entry = join(folder, 'programs', `${program}-${platform}.mjs`)
  mkdirSync(join(folder, 'programs'), { recursive: true })
  writeFileSync(entry, `import { deliver } from './deliver-${program}.mjs'\n${STARTS[platform]}\n`)
  return entry
}
