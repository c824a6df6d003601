/** A subpath of the package that is added must be tried everywhere: nobody has to remember where. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8')

const { exports, peerDependencies } = JSON.parse(read('package.json')) as {
  exports: Record<string, unknown>
  peerDependencies: Record<string, string>
}
const subpaths = Object.keys(exports)
  .filter((path) => path !== './package.json')
  .map((path) => path.replace(/^\./, 'tailrace'))
  .sort()

/** The entries of ours that a program imports. */
function importsOf(program: string): string[] {
  const found = [...read(program).matchAll(/\b(?:from|import|require\()\s*\(?'(tailrace[\w/-]*)'/g)]
  return [...new Set(found.map(([, specifier]) => specifier!))].sort()
}

it('every subpath gets a span out with each SDK', () => {
  expect(importsOf('test/compat/sdk/subpaths.ts')).toEqual(subpaths)
})

it.each(['assignable.mts', 'assignable.cts'])('every subpath is type-checked as it was built: %s', (file) => {
  expect(importsOf(`test/consumer/${file}`)).toEqual(subpaths)
})

it.each(['load.mjs', 'load.cjs'])('every subpath is loaded as it was built: %s', (file) => {
  const [, listed] = /const SUBPATHS = \{(.*?)\n\}/s.exec(read(`test/consumer/${file}`))!
  const names = [...listed!.matchAll(/^ {2}'?([\w-]+)'?: \[/gm)].map(([, name]) => `tailrace/${name}`)
  expect([...new Set([...names, ...importsOf(`test/consumer/${file}`)])].sort()).toEqual(subpaths)
})

it('every subpath is named in README', () => {
  for (const each of subpaths) expect(read('README.md')).toContain(each)
})

it('the oldest API that peerDependencies allow is one that a program is run with', () => {
  const { dependencies } = JSON.parse(read('test/compat/fixtures/api-floor/package.json')) as {
    dependencies: Record<string, string>
  }
  expect(peerDependencies).toEqual({ '@opentelemetry/api': `>=${dependencies['@opentelemetry/api']} <2` })
  expect(readdirSync(`${root}test/compat`)).toContain('api-floor.test.ts')
})
