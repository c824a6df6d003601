/** Installs what the runtimes' tests need beyond the top-level packages: each fixture has a lock file of its own. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))

for (const name of readdirSync(fixtures).sort()) {
  console.log(`test/runtimes/fixtures/${name}`)
  execFileSync(
    'npm',
    ['ci', '--prefix', `${fixtures}/${name}`, '--no-audit', '--no-fund', '--loglevel=error'],
    {
      stdio: 'inherit',
    },
  )
}
