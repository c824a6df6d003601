/**
 * Projects as users have them: each fixture, with the packed package installed by a plain `npm install`. They lie outside
 * this tree, where nothing of ours can be found by climbing up, and are kept as long as what is in them stays the same.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestOf, installFixture, isStamped } from '../runtimes/install.ts'
import { plainNpm } from './plain-npm.ts'

export const root: string = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = join(root, 'test/compat/fixtures')

/** Fixtures of the runtimes' tests that are needed here, too. */
const SHARED = ['node-20', 'node-22', 'node-24', 'node-26', 'edge-runtime', 'workers']

/** Has tools alone, and not the package. */
const TOOLS = new Set(['compilers'])

/** Where all of it lies: one folder for each clone. */
export const cache: string = join(cacheFolder(), createHash('sha256').update(root).digest('hex').slice(0, 12))

/** What `npm install` printed. */
export const INSTALL_LOG = 'install.log'

/** The folder of a project. */
export function projectFolder(name: string): string {
  return join(cache, name)
}

/** The program `node` of a fixture of test/runtimes. */
export function nodeOf(major: number): string {
  return join(root, `test/runtimes/fixtures/node-${major}/node_modules/node/bin/node`)
}

/** Packs the package, which builds it. @returns The path of the tarball. */
export function pack(): string {
  mkdirSync(cache, { recursive: true })
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', cache], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return join(cache, packed.trim().split('\n').at(-1)!)
}

/** Installs every project that has changed. @throws if one cannot be installed. */
export function installProjects(tarball: string): void {
  for (const name of SHARED) installFixture(join(root, 'test/runtimes/fixtures', name))
  for (const name of readdirSync(fixtures).sort()) installProject(name, TOOLS.has(name) ? undefined : tarball)
}

function installProject(name: string, tarball: string | undefined): void {
  const folder = projectFolder(name)
  const stamp = join(folder, 'installed')
  const fixture = join(fixtures, name)
  const files = readdirSync(fixture).map((file) => join(fixture, file))
  const digest = digestOf(tarball === undefined ? files : [...files, tarball])
  if (isStamped(stamp, digest)) return

  console.log(`installing ${folder}`)
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(fixtures, name), folder, { recursive: true })
  const { status, stdout, stderr } = spawnSync(
    'npm',
    // `npm run -s` would make this one silent, too.
    ['install', ...(tarball === undefined ? [] : [tarball]), '--no-audit', '--no-fund', '--loglevel=notice'],
    { cwd: folder, encoding: 'utf8', env: environmentOf(folder) },
  )
  if (status !== 0) throw new Error(`npm install in ${folder} ended with ${status}:\n${stdout}${stderr}`)
  writeFileSync(join(folder, INSTALL_LOG), stdout + stderr)
  writeFileSync(stamp, digest)
}

/** SDK 3 wants a newer Node than the one that runs the tests; npm is to see that it has it. */
function environmentOf(folder: string): NodeJS.ProcessEnv {
  const path = folder.endsWith('sdk-3') ? `${dirname(nodeOf(24))}${delimiter}` : ''
  return { ...plainNpm(), PATH: path + process.env.PATH }
}

function cacheFolder(): string {
  const { TAILRACE_COMPAT_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  const ofUser = XDG_CACHE_HOME || LOCALAPPDATA || join(homedir(), '.cache')
  return TAILRACE_COMPAT_CACHE || join(ofUser, 'tailrace-compat')
}
