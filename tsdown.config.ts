import { readFileSync } from 'node:fs'
import { defineConfig, type UserConfig } from 'tsdown'

interface Manifest {
  readonly exports: Record<string, { readonly import?: { readonly types: string } }>
}

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as Manifest

/** The preload for Lambda: built by itself, see below. */
const PRELOAD = 'lambda/extension'

/** What package.json exports: dist/lifecycle/node.js is built from src/lifecycle/node.ts. */
const publicEntries = Object.values(exports)
  .flatMap(({ import: entry }) => entry?.types.replace(/^\.\/dist\/(.+)\.d\.ts$/, '$1') ?? [])
  .filter((name) => name !== PRELOAD)

/** `#transport` of package.json chooses between them by condition, where the package is used. */
const transports = ['transport/fetch', 'transport/node-http']

/** These, and all that they import, are in one file. */
const CORE = /src[\\/](processor|otlp[\\/]exporter|exporters[\\/](in-memory|json-lines))\.ts$/

const common: UserConfig = {
  platform: 'neutral',
  target: 'es2022',
  deps: {
    neverBundle: ['#transport', '@opentelemetry/api', /^node:/],
    onlyBundle: [],
  },
  sourcemap: true,
  // Those of the types are for editors, and the maps hold the source. One character beyond ASCII makes V8 take twice the memory
  // and a tenth more time for the whole file.
  outputOptions: { comments: { jsdoc: false } },
  checks: { legacyCjs: false, pluginTimings: false },
  failOnWarn: true,
}

export default defineConfig([
  {
    ...common,
    entry: Object.fromEntries([...publicEntries, ...transports].map((name) => [name, `src/${name}.ts`])),
    format: ['esm', 'cjs'],
    // Node takes as long to open a file as to read a hundred kilobytes of code: what most programs need is in one.
    outputOptions: { ...common.outputOptions, codeSplitting: { groups: [{ name: 'core', test: CORE }] } },
    // The transports are not public, and need no types.
    // Their maps would lead to sources that are not in the package; those of the code hold theirs.
    dts: { entry: publicEntries.map((name) => `src/${name}.ts`), sourcemap: false },
  },
  // A file by itself, so that a layer can hold it. Only a module can await Lambda's answer.
  {
    ...common,
    entry: { [PRELOAD]: 'src/lifecycle/lambda-extension.ts' },
    format: 'esm',
    dts: true,
    clean: false,
  },
  {
    ...common,
    entry: { [PRELOAD]: 'src/lifecycle/lambda-extension-require.ts' },
    format: 'cjs',
    dts: true,
    clean: false,
  },
])
