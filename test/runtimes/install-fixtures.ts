/** Installs what the runtimes' tests need beyond the top-level packages: each fixture has a lock file of its own. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

/**
 * Fixtures whose lock file lacks optional packages of platforms that not every registry serves. `npm ci` takes that for a
 * mistake; `npm install` keeps to the lock file, and adds what the platform needs.
 */
const INCOMPLETE = new Set(['next'])

for (const name of readdirSync(fixtures).sort()) {
  console.log(`test/runtimes/fixtures/${name}`)
  const install = INCOMPLETE.has(name) ? ['install', '--no-save'] : ['ci']
  try {
    execFileSync('npm', [...install, '--prefix', `${fixtures}/${name}`, ...QUIET], { stdio: 'inherit' })
  } catch (cause) {
    // Some are built here, with tools that a user's machine may lack. Their tests say so, and are skipped.
    if (process.env.CI) throw cause
    console.error(`${name} could not be installed`)
  }
}
