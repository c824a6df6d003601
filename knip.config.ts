import { readdirSync, readFileSync } from 'node:fs'

interface Manifest {
  readonly exports: Record<string, { readonly import?: { readonly types: string } }>
  readonly devDependencies: Record<string, string>
}

const { exports, devDependencies } = JSON.parse(
  readFileSync(new URL('package.json', import.meta.url), 'utf8'),
) as Manifest

/** What package.json exports: dist/lifecycle/node.js is built from src/lifecycle/node.ts. */
const publicEntries = Object.values(exports)
  .flatMap(({ import: entry }) => entry?.types.replace(/^\.\/dist\/(.+)\.d\.ts$/, 'src/$1.ts') ?? [])
  .filter((path) => path !== 'src/lambda/extension.ts')

/** What the fixtures install for the programs that run there. */
const ofFixtures = ['test/runtimes/fixtures', 'test/compat/fixtures', 'test/durable/fixtures'].flatMap(
  (folder) =>
    readdirSync(new URL(folder, import.meta.url)).flatMap((name) => {
      const text = readFileSync(new URL(`${folder}/${name}/package.json`, import.meta.url), 'utf8')
      const { dependencies, devDependencies, optionalDependencies } = JSON.parse(text) as Record<
        string,
        object
      >
      return Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
    }),
)

const config = {
  entry: [
    ...publicEntries,
    // `tailrace/lambda/extension`, see tsdown.config.ts.
    'src/lifecycle/lambda-extension{,-require}.ts',
    // What is run, compiled or bundled by its path.
    'bench/{harness/{child,receiver}.ts,programs/*}',
    'tsdown.config.ts',
    'test/{consumer,examples,mutants,programs}/**/*.{ts,tsx,mts,cts,mjs,cjs}',
    'test/compat/{bundlers/*.mjs,core/program.ts,sdk/*}',
    'vitest.*.config.ts',
  ],
  ignore: ['test/**/fixtures/**'],
  // Types that a signature names are exported with it.
  ignoreExportsUsedInFile: { interface: true, type: true },
  // These are resolved in the fixtures; `sdk.js` is put beside its programs there.
  ignoreDependencies: [
    ...ofFixtures.filter((name) => !(name in devDependencies)),
    'next/server',
    'cloudflare',
    // Plug-ins of size-limit, which finds them by their names.
    '@size-limit/.*',
  ],
  ignoreUnresolved: ['./sdk.js'],
  rules: { duplicates: 'off' },
  // Found on the machine, or said to be missing.
  ignoreBinaries: ['go', 'openssl', 'unshare'],
}

export default config
