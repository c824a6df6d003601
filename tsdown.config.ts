import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsdown'

interface Manifest {
  readonly exports: Record<string, { readonly import?: { readonly types: string } }>
}

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as Manifest

/** What package.json exports: dist/lifecycle/node.js is built from src/lifecycle/node.ts. */
const publicEntries = Object.values(exports).flatMap(({ import: entry }) =>
  entry === undefined ? [] : [entry.types.replace(/^\.\/dist\/(.+)\.d\.ts$/, '$1')],
)

/** `#transport` of package.json chooses between them by condition, where the package is used. */
const transports = ['transport/fetch', 'transport/node-http']

export default defineConfig({
  entry: Object.fromEntries([...publicEntries, ...transports].map((name) => [name, `src/${name}.ts`])),
  format: ['esm', 'cjs'],
  platform: 'neutral',
  target: 'es2022',
  deps: {
    neverBundle: ['#transport', '@opentelemetry/api', /^node:/],
    onlyBundle: [],
  },
  // The transports are not public, and need no types.
  dts: { entry: publicEntries.map((name) => `src/${name}.ts`), sourcemap: true },
  sourcemap: true,
  checks: { legacyCjs: false, pluginTimings: false },
  failOnWarn: true,
})
