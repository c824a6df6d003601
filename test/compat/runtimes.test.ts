/** The core suite on every runtime, with the same built files: those of the tarball. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectFolder, root } from './consumers.ts'
import { CASES } from './core/cases.ts'
import { RUNTIMES, type Started } from './core/runtimes.ts'

/** The files under a folder, and what is in each. */
function digest(folder: string): [path: string, hash: string][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
    .map((path) => [path.slice(folder.length), createHash('sha256').update(readFileSync(path)).digest('hex')])
}

it('every runtime has the files that were built here', () => {
  const installed = digest(join(projectFolder('runtimes'), 'node_modules/tailrace/dist'))
  expect(installed.length).toBeGreaterThan(50)
  expect(installed).toEqual(digest(join(root, 'dist')))
})

describe.each(RUNTIMES.map((each) => [`${each.name} ${each.version}: ${each.how}`, each] as const))(
  'runtime %s',
  (name, { missing, abilities, start }) => {
    if (missing) console.warn(`skipped: ${missing}`)
    let started: Started

    beforeAll(async () => {
      if (!missing) started = await start()
    }, 90_000)
    afterAll(() => started?.stop())

    const cases = CASES.filter(({ needs }) => !needs || abilities[needs])

    it.skipIf(missing).each(cases.map((each) => [each.title, each] as const))('%s', async (_title, each) => {
      const observed = await started.run(each.name)

      expect(observed, `on ${name}`).not.toHaveProperty('thrown')
      const { ended, exported, rejected, failed, dropped, pending } = observed.stats
      const gone = Object.values(dropped).reduce((sum, count) => sum + count, 0)
      expect(exported + rejected + failed + gone + pending, 'the ledger').toBe(ended)
      each.expect(observed, started.backend.lane(each.name), abilities)
    })
  },
)
