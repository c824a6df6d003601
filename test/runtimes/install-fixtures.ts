/** Installs what the runtimes' tests need beyond the top-level packages. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installFixture } from './install.ts'

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))

for (const name of readdirSync(fixtures).sort()) {
  try {
    installFixture(join(fixtures, name))
  } catch (cause) {
    // Some are built here, with tools that a user's machine may lack. Their tests say so, and are skipped.
    if (process.env.CI) throw cause
    console.error(`${name} could not be installed`)
  }
}
