/** What SCALING.md prints is what test/durable/scaling.test.ts runs. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const at = (path: string) => new URL(`../../${path}`, import.meta.url)
const read = (path: string) => readFileSync(at(path), 'utf8')

const files = [
  ...readdirSync(at('test/durable/scaling')).map((name) => `test/durable/scaling/${name}`),
  'test/durable/kafka/collector.yaml',
]

/** The ```yaml blocks of the guide. */
const blocks = [...read('SCALING.md').matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block]) => block)

it.each(files)('SCALING.md prints %s, and links to it', (path) => {
  expect(blocks).toContain(read(path))
  expect(read('SCALING.md')).toContain(`(${path})`)
})

it('SCALING.md prints no other configuration', () => {
  expect(blocks).toHaveLength(files.length)
})

it('each of them is run by the tests', () => {
  const tests = ['scaling', 'kafka'].map((name) => read(`test/durable/${name}.test.ts`)).join('\n')
  for (const path of files) expect(tests).toContain(path.split('/').at(-1))
})
