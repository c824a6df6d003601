/** README's table of what works with what: that of the last run of `npm run test:compat`. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { type Row, readmeTable, renderTable, rowsOf, withoutSystem } from './compat/table.ts'

const read = (path: string) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')
const rows = JSON.parse(read('compat/results.json')) as Row[]

it('README says what the last run has shown', () => {
  expect(rows.length).toBeGreaterThan(15)
  expect(readmeTable.of(read('../README.md'))).toBe(renderTable(rows))
})

it('nothing in it has failed or was left out', () => {
  for (const { name, passed, total } of rows) expect([name, passed]).toEqual([name, total])
  const names = rows.map(({ kind, name }) => `${kind} ${name}`).join('\n')
  for (const each of ['SDK 1.30', 'SDK 1.30 with API 1.3', 'SDK 2.12', 'SDK 3.1'])
    expect(names.split('\n')).toContain(each)
  for (const each of [
    'Node 20',
    'Node 22',
    'Node 24',
    'Node 26',
    'Bun',
    'Deno',
    'workerd',
    'edge-runtime',
    'Chromium',
  ])
    expect(names).toContain(`runtime ${each}`)
  for (const each of ['esbuild', 'rollup', 'webpack', 'Vite']) expect(names).toContain(`bundler ${each}`)
})

it('counts the tests of each suite, passed and not, and puts the ways of one name on one line', () => {
  const test = (title: string, status: string) => ({ ancestorTitles: [title, 'inner'], status })
  const assertionResults = [
    test('runtime Bun 1: `require`', 'passed'),
    test('runtime Bun 1: `import`', 'failed'),
    test('runtime Bun 1: `import`', 'passed'),
    test('SDK 2: sdk 2.1', 'skipped'),
    test('', 'passed'),
  ]
  expect(renderTable(rowsOf({ testResults: [{ assertionResults }] }))).toBe(
    [
      '| with | how, and the checks that passed |',
      '|---|---|',
      '| SDK 2 | sdk 2.1: 0 of 1 |',
      '| Bun 1 | `import`: 1 of 2; `require`: 1 of 1 |',
    ].join('\n'),
  )
})

it('only Chromium may be another than in the last run', () => {
  const [bun, chromium] = ['Bun 1', 'Chromium 1.2'].map((name) => ({ name }) as Row)
  expect(withoutSystem([bun!, chromium!])).toEqual([{ name: 'Bun 1' }, { name: 'Chromium' }])
  expect(readmeTable.of(readmeTable.replaced(read('../README.md'), '| $& |'))).toBe('| $& |')
})
