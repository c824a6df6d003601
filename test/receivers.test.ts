/** README's table of receivers: the versions are those that `npm run test:interop` builds and `npm ci` installs. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { collectorRecipe, GO_MIN, jaegerRecipe } from './interop/recipes.ts'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8')
const [, section = ''] = read('README.md').split('\n## Tested receivers\n')
const [text = ''] = section.split('\n## ')

it('README names the receivers that are built and installed, and no others', () => {
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> }
  const mock = '@elastic/mockotlpserver'
  const [, , ...rows] = text.split('\n').filter((line) => line.startsWith('|'))
  expect(rows.map((row) => row.split('|')[1]!.trim())).toEqual([
    collectorRecipe.name,
    jaegerRecipe.name,
    `\`${mock}\` ${devDependencies[mock]}`,
  ])
})

it('README says which Go it takes', () => {
  expect(text).toContain(`Without Go ${GO_MIN.join('.')} or newer`)
})

it('all parts of the Collector are of the version that it is called by', () => {
  const version = collectorRecipe.name.split(' ').at(-1)
  const manifest = read('test/interop/collector/builder.yaml')
  expect(manifest).toContain(`version: ${version}\n`)
  const parts = [...manifest.matchAll(/gomod: \S+\/(?:receiver|processor|exporter)\/\S+ (\S+)/g)]
  expect(parts.length).toBeGreaterThan(3)
  for (const [, each] of parts) expect(each).toBe(`v${version}`)
})
