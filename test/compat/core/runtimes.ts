/** The runtimes that the core suite runs on, each with the package as it was installed from the tarball. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type BuildOptions, build } from 'esbuild'
import { CHROMIUM, launchChromium, whyNoChromium } from '../../helpers/chromium.ts'
import { startWorkerd } from '../../runtimes/workerd.ts'
import { nodeOf, projectFolder, root } from '../consumers.ts'
import { Backend } from './backend.ts'
import { type Abilities, CASES } from './cases.ts'
import type { Observed } from './program.ts'

/** A runtime in front of its backend. */
export interface Started {
  readonly backend: Backend
  run(name: string): Promise<Observed>
  stop(): Promise<unknown>
}

/** A runtime as the table in README has it. */
export interface Runtime {
  readonly name: string
  readonly version: string
  /** How the suite runs there, and what it cannot show there. */
  readonly how: string
  readonly abilities: Abilities
  /** Why it cannot run here; in CI it always must. */
  readonly missing?: string | undefined
  start(): Promise<Started>
}

const folder = projectFolder('runtimes')
const fixture = (name: string) => join(root, 'test/runtimes/fixtures', name)
const ALL: Abilities = { gzip: true, schedule: true, userAgent: true }
const answers = new Map(CASES.flatMap(({ name, answer }) => (answer ? [[name, answer] as const] : [])))

function versionOf(place: string, name: string): string {
  const manifest = readFileSync(join(place, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

async function startBackend(script?: string): Promise<Backend> {
  const backend = new Backend(answers, script)
  await backend.start()
  return backend
}

/** Bundles an entry beside program.ts, in the project where the package is installed. */
async function bundle(contents: string, options: BuildOptions): Promise<string> {
  cpSync(join(root, 'test/compat/core/program.ts'), join(folder, 'program.ts'))
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder, loader: 'ts' },
    bundle: true,
    write: false,
    target: 'es2022',
    logLevel: 'warning',
    ...options,
  })
  return outputFiles![0]!.text
}

const WHOLE_SUITE = `
  import { run } from './program.ts'
  const [origin, ...names] = process.argv.slice(-${CASES.length + 1})
  async function main() {
    const observed = []
    for (const name of names) observed.push([name, await run(name, origin)])
    console.log(JSON.stringify(observed))
  }
  main()`

/** In one process, with the package outside the bundle: the runtime's own resolution finds it. */
function inProcess(
  runtime: string,
  version: string,
  command: readonly string[],
  format: 'esm' | 'cjs',
): Runtime {
  return {
    name: runtime,
    version,
    how: format === 'esm' ? '`import`' : '`require`',
    abilities: ALL,
    async start() {
      const backend = await startBackend()
      const file = join(folder, `program.${format === 'esm' ? 'mjs' : 'cjs'}`)
      writeFileSync(file, await bundle(WHOLE_SUITE, { format, platform: 'node', packages: 'external' }))
      const [program = '', ...args] = command
      const child = spawn(program, [...args, file, backend.origin, ...CASES.map((each) => each.name)], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 60_000,
        killSignal: 'SIGKILL',
      })
      const [[code, signal], stdout, stderr] = await Promise.all([
        once(child, 'close'),
        text(child.stdout),
        text(child.stderr),
      ])
      if (code !== 0) throw new Error(`${runtime} ended with ${code ?? signal}:\n${stdout}${stderr}`)
      const observed = new Map(JSON.parse(stdout) as [string, Observed][])
      return { backend, run: async (each) => observed.get(each)!, stop: () => backend.stop() }
    },
  }
}

function node(major: number): Runtime[] {
  const version = versionOf(fixture(`node-${major}`), 'node')
  return (['esm', 'cjs'] as const).map((format) => inProcess('Node', version, [nodeOf(major)], format))
}

/** One request a case: what a request makes is gone with it. */
const ON_REQUEST = `
  import { run } from './program.ts'
  export async function answer(request) {
    const { searchParams } = new URL(request.url)
    return Response.json(await run(searchParams.get('name'), searchParams.get('origin')))
  }`

function byRequest(url: string | URL, { origin }: Backend): Started['run'] {
  return async (name) => {
    const response = await fetch(new URL(`/?${new URLSearchParams({ name, origin })}`, url))
    return (await response.json()) as Observed
  }
}

const workerd: Runtime = {
  name: 'workerd',
  version: versionOf(fixture('workers'), 'workerd'),
  how: 'within requests, so without a schedule',
  abilities: { ...ALL, schedule: false },
  async start() {
    const script = await bundle(`${ON_REQUEST}\nexport default { fetch: answer }`, {
      format: 'esm',
      platform: 'browser',
      conditions: ['workerd', 'worker', 'browser'],
      mainFields: ['browser', 'module', 'main'],
    })
    const backend = await startBackend()
    const worker = await startWorkerd(script, {
      compatibilityDate: '2026-07-01',
      compatibilityFlags: [],
    })
    const stop = () => Promise.all([worker.stop(), backend.stop()])
    return { backend, run: byRequest(worker.url, backend), stop }
  },
}

interface EdgeRuntimePackage {
  EdgeRuntime: new (options: { initialCode: string }) => object
  runServer(options: { runtime: object }): Promise<{ readonly url: string; close(): Promise<void> }>
}

const edgeRuntime: Runtime = {
  name: 'edge-runtime',
  version: versionOf(fixture('edge-runtime'), 'edge-runtime'),
  how: 'within requests; uncompressed',
  abilities: { ...ALL, gzip: false },
  async start() {
    const { EdgeRuntime, runServer } = createRequire(`${fixture('edge-runtime')}/package.json`)(
      'edge-runtime',
    ) as EdgeRuntimePackage
    const initialCode = await bundle(
      `${ON_REQUEST}\naddEventListener('fetch', (event) => event.respondWith(answer(event.request)))`,
      { format: 'iife', platform: 'browser', conditions: ['edge-light', 'worker'] },
    )
    const backend = await startBackend()
    const server = await runServer({ runtime: new EdgeRuntime({ initialCode }) })
    const stop = () => Promise.all([server.close(), backend.stop()])
    return { backend, run: byRequest(server.url, backend), stop }
  },
}

const chromium: Runtime = {
  name: 'Chromium',
  version: whyNoChromium
    ? 'missing'
    : (/[\d.]+/.exec(execFileSync(CHROMIUM, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown'),
  how: 'in a page',
  abilities: { ...ALL, userAgent: false },
  missing: whyNoChromium,
  async start() {
    const script = await bundle("import { run } from './program.ts'\nglobalThis.run = run", {
      format: 'esm',
      platform: 'browser',
    })
    const backend = await startBackend(script)
    const browser = await launchChromium()
    const page = await browser.open(backend.origin)
    return {
      backend,
      run: (name) => page.evaluate(`run(${JSON.stringify(name)}, ${JSON.stringify(backend.origin)})`),
      stop: () => Promise.all([browser.close(), backend.stop()]),
    }
  },
}

const bin = (name: string) => join(folder, 'node_modules/.bin', name)
/** How a program is run by the runtimes that are no Node. */
export const COMMANDS = { Bun: [bin('bun')], Deno: [bin('deno'), 'run', '-A'] } as const

const bun = (format: 'esm' | 'cjs') => inProcess('Bun', versionOf(folder, 'bun'), COMMANDS.Bun, format)
const deno = (format: 'esm' | 'cjs') => inProcess('Deno', versionOf(folder, 'deno'), COMMANDS.Deno, format)

export const RUNTIMES: readonly Runtime[] = [
  ...[20, 22, 24, 26].flatMap(node),
  bun('esm'),
  bun('cjs'),
  deno('esm'),
  deno('cjs'),
  workerd,
  edgeRuntime,
  chromium,
]
