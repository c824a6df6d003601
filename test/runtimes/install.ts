/** Installing fixtures: each has a lock file of its own, and is installed again once that has changed. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

/**
 * Fixtures whose lock file lacks optional packages of platforms that not every registry serves. `npm ci` takes that for a
 * mistake; `npm install` keeps to the lock file, and adds what the platform needs.
 */
const INCOMPLETE = new Set(['next'])

/** Changes with what is in the files. */
export function digestOf(files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of [...files].sort()) hash.update(`${basename(file)}\n`).update(readFileSync(file))
  return hash.digest('hex')
}

/** Whether a stamp says that this is what was installed. */
export function isStamped(stamp: string, digest: string): boolean {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
}

/** Installs a fixture where it lies, unless it is installed as its lock file says. @throws if that fails. */
export function installFixture(folder: string): void {
  const files = ['package.json', 'package-lock.json', '.npmrc'].map((file) => join(folder, file))
  // Some build programs for the Node that installs them.
  const digest = `${digestOf(files)} ${process.version}`
  // `npm ci` removes it with the rest, so that a half installed one has none.
  const stamp = join(folder, 'node_modules/.installed')
  if (isStamped(stamp, digest)) return
  console.log(`installing ${folder}`)
  const install = INCOMPLETE.has(basename(folder)) ? ['install', '--no-save'] : ['ci']
  execFileSync('npm', [...install, '--prefix', folder, ...QUIET], { stdio: 'inherit' })
  writeFileSync(stamp, digest)
}
