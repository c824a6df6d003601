/**
 * The receivers that nobody here wrote: how their programs are built from the Go module proxy, and where they are kept.
 * That is outside the tree, so that `npm ci` and fresh clones find them again, under a name that changes with the recipe.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The builder's own modules ask for it. */
export const GO_MIN = [1, 25] as const

/** A program that is built once. */
export interface Recipe {
  readonly name: string
  /** Where the program is, once it is built. */
  readonly binary: string
  /** Builds into a folder of its own. Answers the program's path. @throws if the build fails. */
  build(folder: string): string
}

const manifest = fileURLToPath(new URL('collector/builder.yaml', import.meta.url))
const COLLECTOR_VERSION = '0.159.0'
const BUILDER = `go.opentelemetry.io/collector/cmd/builder@v${COLLECTOR_VERSION}`

/** The same commit as 2.13.0, and the newest tag that Go's rules for versions let a module have. */
const JAEGER = 'github.com/jaegertracing/jaeger@v1.76.0'

export const collectorRecipe: Recipe = {
  name: `OpenTelemetry Collector ${COLLECTOR_VERSION}`,
  binary: join(
    cacheFolder(),
    `collector-${shortHash(BUILDER, readFileSync(manifest, 'utf8'))}`,
    program('collector'),
  ),
  build(folder) {
    cpSync(manifest, join(folder, 'builder.yaml'))
    go(['run', BUILDER, '--config', 'builder.yaml'], folder)
    return join(folder, 'sources', program('collector'))
  },
}

export const jaegerRecipe: Recipe = {
  name: 'Jaeger 2.13.0',
  binary: join(cacheFolder(), `jaeger-${shortHash(JAEGER)}`, program('jaeger')),
  build(folder) {
    // In its own module, with its own go.sum: as its authors build it. Without its user interface, which is not in there.
    const { Dir } = JSON.parse(go(['mod', 'download', '-json', JAEGER], folder)) as { Dir: string }
    const built = join(folder, program('jaeger'))
    go(['build', '-C', Dir, '-trimpath', '-ldflags=-s -w', '-o', built, './cmd/jaeger'], folder)
    return built
  },
}

export const recipes: readonly Recipe[] = [collectorRecipe, jaegerRecipe]

/** What this machine lacks for building them; undefined if nothing. */
export function whatIsMissing(): string | undefined {
  const { stdout, error } = spawnSync('go', ['env', 'GOVERSION'], { env: environment(), encoding: 'utf8' })
  const [major = 0, minor = 0] = error ? [] : (/^go(\d+)\.(\d+)/.exec(stdout)?.slice(1).map(Number) ?? [])
  const isNewEnough = major > GO_MIN[0] || (major === GO_MIN[0] && minor >= GO_MIN[1])
  if (isNewEnough) return undefined
  return `Go ${GO_MIN.join('.')} or newer (https://go.dev/dl), ${error ? 'and there is no `go` here' : `and this is ${stdout.trim()}`}`
}

/** Builds what is not there yet. @throws if a build fails. */
export function build(recipe: Recipe): void {
  if (existsSync(recipe.binary)) return
  const folder = mkdtempSync(join(tmpdir(), 'tailrace-interop-'))
  try {
    const built = recipe.build(folder)
    // Under its name only once it is whole.
    mkdirSync(dirname(recipe.binary), { recursive: true })
    cpSync(built, `${recipe.binary}.new`)
    renameSync(`${recipe.binary}.new`, recipe.binary)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs Go. Answers what it prints. @throws if it fails. */
export function go(args: string[], folder: string): string {
  return execFileSync('go', args, {
    cwd: folder,
    env: environment(),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  })
}

function environment(): NodeJS.ProcessEnv {
  // No C compiler, no other Go than the one that is here, no look at a repository that the folder may lie in.
  return { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false', GOWORK: 'off' }
}

/** Where what was built is kept. */
export function cacheFolder(): string {
  const { TAILRACE_INTEROP_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  const ofUser = XDG_CACHE_HOME || LOCALAPPDATA || join(homedir(), '.cache')
  return TAILRACE_INTEROP_CACHE || join(ofUser, 'tailrace-interop')
}

/** How the system calls a program's file. */
export function program(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name
}

/** Changes with every text. */
export function shortHash(...texts: string[]): string {
  return createHash('sha256').update(texts.join('\n')).digest('hex').slice(0, 12)
}
