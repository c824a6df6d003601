/** Prepares what the measuring processes run: the peers, tailrace as a user would have it installed, the programs. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** An SDK, and the Node that it is measured on. */
export interface Fixture {
  readonly directory: string
  readonly node: string
  readonly nodeVersion: string
  readonly nodeMajor: number
  readonly sdk: string
  /** Names and versions of what is compared. */
  readonly versions: Record<string, string>
}

/** Installs the fixture if it is not, or not as its lock file says. */
function install(directory: string): void {
  const lock = join(directory, 'package-lock.json')
  const installed = join(directory, 'node_modules/.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  process.stderr.write(`installing ${directory}\n`)
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--prefix', directory], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

function versionOf(directory: string, name: string): string {
  return JSON.parse(readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')).version
}

/** Installs, copies what has been built, and returns where everything is. */
export function prepareFixture(nodeMajor: number): Fixture {
  const directory = join(root, 'bench/fixtures', `node-${nodeMajor}`)
  if (!existsSync(directory)) throw new RangeError(`--node must be 20 or 24, not ${nodeMajor}`)
  install(directory)
  const own = join(directory, 'node_modules/node/bin/node')
  const node = existsSync(own) ? own : process.execPath
  const nodeVersion = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  if (Number.parseInt(nodeVersion.slice(1), 10) !== nodeMajor) {
    throw new Error(`--node ${nodeMajor} measures on the Node that runs it, which is ${nodeVersion}`)
  }
  const target = join(directory, 'node_modules/tailrace')
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  cpSync(join(root, 'package.json'), join(target, 'package.json'))
  cpSync(join(root, 'dist'), join(target, 'dist'), { recursive: true })
  const sdk = nodeMajor < 22 ? '@opentelemetry/sdk-trace-base' : '@opentelemetry/sdk-trace'
  const names = [
    'tailrace',
    sdk,
    '@opentelemetry/exporter-trace-otlp-proto',
    '@opentelemetry/otlp-transformer',
    '@opentelemetry/api',
  ]
  const versions = Object.fromEntries(names.map((name) => [name, versionOf(directory, name)]))
  return { directory, node, nodeVersion, nodeMajor, sdk, versions }
}

/**
 * Makes the programs: plain JavaScript next to the packages that they import, so that no loader runs while something
 * is measured, and so that each fixture's own packages are found.
 */
export async function buildPrograms(
  { directory, sdk }: Fixture,
  questions: readonly string[],
): Promise<string> {
  const programs = join(directory, 'node_modules/.bench')
  rmSync(programs, { recursive: true, force: true })
  mkdirSync(programs, { recursive: true })
  cpSync(join(root, 'bench/programs'), programs, { recursive: true })
  const entries = join(programs, 'entries')
  mkdirSync(entries)
  const bench = dirname(dirname(fileURLToPath(import.meta.url)))
  for (const name of questions) {
    const source = `import { question } from ${JSON.stringify(join(bench, `${name}.ts`))}
      import { answer } from ${JSON.stringify(join(bench, 'harness/child.ts'))}
      await answer(question)`
    writeFileSync(join(entries, `${name}.ts`), source)
  }
  await build({
    entryPoints: questions.map((name) => join(entries, `${name}.ts`)),
    outdir: programs,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['@opentelemetry/*', 'tailrace', 'esbuild'],
    // The SDK has another name from version 3 on.
    plugins: [
      {
        name: 'sdk',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^@opentelemetry\/sdk-trace-base$/ }, () => ({ path: sdk, external: true })),
      },
    ],
    tsconfigRaw: '{}',
    logLevel: 'warning',
  })
  return programs
}
