/** README's table of receivers: the versions are those that `npm run test:interop` builds and `npm ci` installs. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
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

describe('on a machine that has neither Go nor what it has built', () => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const empty = mkdtempSync(join(tmpdir(), 'tailrace-no-go-'))
  const run = (ci: string | undefined, ...args: string[]) => {
    const { CI: _, ...rest } = process.env
    const env = { ...rest, PATH: empty, TAILRACE_INTEROP_CACHE: empty, ...(ci !== undefined && { CI: ci }) }
    return spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8', timeout: 60_000 })
  }
  const build = ['--import', 'tsx', 'test/interop/build-receivers.ts']
  const vitest = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'vitest.interop.config.ts',
    '--reporter',
    'json',
  ]

  it('`npm run test:interop` says what is missing, and goes on', () => {
    const { stdout, status } = run(undefined, ...build)
    expect(stdout).toContain('SKIPPED, not passed: the tests with OpenTelemetry Collector')
    expect(stdout).toContain(`Go ${GO_MIN.join('.')} or newer`)
    expect(status).toBe(0)
  })

  it('in CI it fails', () => {
    const { stdout, status } = run('true', ...build)
    expect(stdout).toContain('FAILED: the tests with OpenTelemetry Collector')
    expect(status).toBe(1)
  })

  it.each([
    { ci: undefined, counted: { numPassedTests: 0, numFailedTests: 0, success: true } },
    { ci: 'true', counted: { numPassedTests: 0, numFailedTests: 1, success: false } },
  ])(
    'the tests with Jaeger count as skipped, in CI as failed (CI: $ci)',
    ({ ci, counted }) => {
      const { stdout } = run(ci, ...vitest, 'test/interop/jaeger.test.ts')
      const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { numPendingTests: number }
      expect(report).toMatchObject(counted)
      if (ci === undefined) expect(report.numPendingTests).toBeGreaterThan(0)
    },
    60_000,
  )
})
