/**
 * `npm run test:compat [-- --table] [-- <arguments of Vitest>]`: packs the package, installs it into the projects, and runs
 * the tests there. A whole run must show what results.json says; with `--table` it says so from now on, and README too.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { cache, installProjects, pack, root } from './consumers.ts'
import { type Report, type Row, readmeTable, renderTable, rowsOf, withoutSystem } from './table.ts'

const args = process.argv.slice(2)
const makesTable = args.includes('--table')
const forVitest = args.filter((each) => each !== '--table')
const results = join(root, 'test/compat/results.json')
const report = join(cache, 'report.json')

installProjects(pack())
const { status } = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--config=vitest.compat.config.ts',
    '--reporter=default',
    '--reporter=./test/helpers/count-reporter.ts',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...forVitest,
  ],
  { cwd: root, stdio: 'inherit' },
)
process.exitCode = status ?? 1

if (status === 0 && forVitest.length === 0) {
  const rows = rowsOf(JSON.parse(readFileSync(report, 'utf8')) as Report)
  const isWhole = rows.every(({ passed, total }) => passed === total)
  if (makesTable && isWhole) {
    const readme = join(root, 'README.md')
    writeFileSync(results, `${JSON.stringify(rows, undefined, 2)}\n`)
    writeFileSync(readme, readmeTable.replaced(readFileSync(readme, 'utf8'), renderTable(rows)))
  } else if (isWhole) {
    const known = JSON.parse(readFileSync(results, 'utf8')) as Row[]
    if (!isDeepStrictEqual(withoutSystem(rows), withoutSystem(known))) {
      console.error(
        'FAILED: this run shows other than test/compat/results.json: npm run test:compat -- --table',
      )
      process.exitCode = 1
    }
  } else {
    console.error('SKIPPED, not passed: what is missing is said above')
    if (process.env.CI || makesTable) process.exitCode = 1
  }
}
