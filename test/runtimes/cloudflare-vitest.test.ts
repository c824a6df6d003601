/** tailrace/cloudflare under Cloudflare's own pool for vitest: its tests run in workerd. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleWorker, WorkersCollector } from './workerd.ts'

const fixture = fileURLToPath(new URL('fixtures/workers-vitest', import.meta.url))

describe('in the pool', { timeout: 240_000 }, () => {
  const collector = new WorkersCollector()
  beforeAll(() => collector.start())
  afterAll(() => collector.stop())

  it.each([
    { program: 'worker', date: '2022-10-31', flags: '' },
    { program: 'nodejs', date: '2026-07-30', flags: 'nodejs_compat' },
  ])('B51: every span arrives, with $date $flags', async ({ program, date, flags }) => {
    // Bundled: the pool cannot resolve what the API's ES modules leave out of their imports.
    const folder = await mkdtemp(join(fixture, 'node_modules/.worker-'))
    const worker = join(folder, 'worker.mjs')
    await writeFile(worker, await bundleWorker(`programs/worker/${program}.ts`, collector.url))
    const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run'], {
      cwd: fixture,
      env: {
        PATH: process.env.PATH,
        WORKER: worker,
        COMPATIBILITY_DATE: date,
        COMPATIBILITY_FLAGS: flags,
        NO_COLOR: '1',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [[code], stdout, stderr] = await Promise.all([
      once(child, 'close'),
      text(child.stdout),
      text(child.stderr),
    ])
    await rm(folder, { recursive: true })
    expect(code, stdout + stderr).toBe(0)
    expect(stdout).toContain('2 passed')
    expect(collector.broken).toEqual([])
  })
})
