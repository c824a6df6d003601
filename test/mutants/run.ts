/**
 * `npm run mutants`: applies one mutant at a time to a copy of the repository, and runs the tests that should notice. A
 * mutant that survives shows a test that is missing. `npm run mutants -- breaker lease` runs those with either in their name.
 *
 * Exits with 1 if a mutant survives, if its text is not found exactly once, or if the tests fail without any mutant.
 */
import { spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutant.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COPIED = ['src', 'test', 'README.md', 'package.json', 'tsconfig.json', 'vitest.config.ts']
const PARALLEL = 2
/** A mutant under which the tests do not end is killed, too, after this time in milliseconds. */
const MAX_MILLIS = 240_000

interface NamedMutant extends Mutant {
  readonly name: string
}

type Verdict = 'killed' | 'hangs' | 'SURVIVED' | 'DOES NOT APPLY'

async function readMutants(filters: readonly string[]): Promise<NamedMutant[]> {
  const files = await readdir(new URL('.', import.meta.url))
  const names = files
    .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
    .map((file) => file.slice(0, -'.ts'.length))
  const mutants = names
    .filter((name) => name !== 'run' && name !== 'mutant')
    .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter)))
    .sort()
    .map(async (name) => ({ name, ...((await import(`./${name}.ts`)) as { default: Mutant }).default }))
  return Promise.all(mutants)
}

/** A copy with its own sources and the same packages. */
async function makeCopy(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'tailrace-mutants-'))
  const filter = (path: string) => !/[\\/](node_modules|fixtures)([\\/]|$)/.test(path.slice(ROOT.length))
  for (const name of COPIED) await cp(join(ROOT, name), join(copy, name), { recursive: true, filter })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

/** Runs tests in a copy. */
function runTests(
  copy: string,
  tests: readonly string[],
  stdio: 'ignore' | 'inherit' = 'ignore',
): Promise<'passed' | 'failed' | 'hangs'> {
  return new Promise((resolve) => {
    const vitest = join(copy, 'node_modules', 'vitest', 'vitest.mjs')
    const child = spawn(process.execPath, [vitest, 'run', '--bail=1', ...tests], {
      cwd: copy,
      env: { ...process.env, TAILRACE_SHRINK: 'no' },
      stdio,
      detached: true,
    })
    const timer = setTimeout(() => {
      resolve('hangs')
      // The workers, too.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, MAX_MILLIS)
    child.on('exit', (code) => {
      clearTimeout(timer)
      resolve(code === 0 ? 'passed' : 'failed')
    })
  })
}

async function judge(copy: string, { file, find, replace, tests }: NamedMutant): Promise<Verdict> {
  const path = join(copy, file)
  const original = await readFile(path, 'utf8')
  const parts = original.split(find)
  if (parts.length !== 2) return 'DOES NOT APPLY'
  await writeFile(path, parts.join(replace))
  try {
    const result = await runTests(copy, tests)
    return result === 'failed' ? 'killed' : result === 'hangs' ? 'hangs' : 'SURVIVED'
  } finally {
    await writeFile(path, original)
  }
}

async function main(): Promise<number> {
  const mutants = await readMutants(process.argv.slice(2))
  const copies = await Promise.all(Array.from({ length: PARALLEL }, makeCopy))
  const verdicts: Verdict[] = []
  try {
    const named = [...new Set(mutants.flatMap(({ tests }) => tests))]
    if ((await runTests(copies[0], named, 'inherit')) !== 'passed') {
      console.error('the tests fail without any mutant')
      return 1
    }
    const queue = [...mutants]
    const work = async (copy: string) => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const startedAt = performance.now()
        const verdict = await judge(copy, mutant)
        verdicts.push(verdict)
        const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
        console.log(`${verdict.padEnd(14)} ${mutant.name.padEnd(28)} ${seconds.padStart(5)} s  ${mutant.why}`)
      }
    }
    await Promise.all(copies.map(work))
  } finally {
    await Promise.all(copies.map((copy) => rm(copy, { recursive: true, force: true })))
  }
  const bad = verdicts.filter((verdict) => verdict === 'SURVIVED' || verdict === 'DOES NOT APPLY')
  console.log(`${mutants.length} mutants, ${mutants.length - bad.length} killed, ${bad.length} not`)
  return bad.length === 0 ? 0 : 1
}

process.exitCode = await main()
