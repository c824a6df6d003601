/** A disk that is really full, or really read-only. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bundleProgram } from '../helpers/bundle.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { names } from '../helpers/processors.ts'
import { runningCollector, spansAt } from './spools.ts'

const MOUNT = 'mount -t tmpfs -o size=256k tmpfs "$1"'

/** Whether a process may mount a disk of its own; where CI says so, it must. */
function canMount(): boolean {
  if (process.env.CI) return true
  const disk = mkdtempSync(join(tmpdir(), 'tailrace-disk-'))
  try {
    execFileSync('unshare', ['-rm', 'sh', '-c', MOUNT, 'sh', disk], { stdio: 'pipe' })
    return true
  } catch {
    return false
  } finally {
    rmSync(disk, { recursive: true })
  }
}

let bundle: string
beforeAll(async () => {
  bundle = await bundleProgram('small-disk.ts')
})

const mounting = canMount() ? test : test.skip
mounting.each([
  ['full', 'ENOSPC'],
  ['read-only', 'EROFS'],
])(
  'a disk that is %s costs one warning, spans stay in memory, and go there when it is well (skipped where `unshare -rm` may not mount)',
  async (trouble, code) => {
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const disk = mkdtempSync(join(tmpdir(), 'tailrace-disk-'))
    const run = `${MOUNT} && exec "$2" "$3" ${trouble} "$1" "$4"`
    const child = spawn(
      'unshare',
      ['-rm', 'sh', '-c', run, 'sh', disk, process.execPath, bundle, collector.url],
      {
        env: { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '' },
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 25_000,
      },
    )
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('after')) collector.otherwise(answers(200))
    })
    const [exitCode] = await once(child, 'close')
    rmSync(disk, { recursive: true })

    const said = output.trim().split('\n')
    const lines = (beginning: string) => said.filter((line) => line.startsWith(beginning))
    expect(exitCode).toBe(0)
    expect(lines('filled')).toEqual(trouble === 'full' ? ['filled until ENOSPC'] : [])
    const ledger = (when: string) => JSON.parse(lines(when)[0]!.slice(when.length)) as object
    expect(ledger('before')).toEqual({ ended: 10, spooled: 10, pending: 0, queueFull: 0, files: 1 })
    expect(ledger('during')).toEqual({ ended: 40, spooled: 10, pending: 30, queueFull: 0, files: 1 })
    expect(ledger('still')).toEqual({ ended: 100, spooled: 10, pending: 50, queueFull: 40, files: 1 })
    expect(ledger('after')).toEqual({ ended: 100, spooled: 60, pending: 0, queueFull: 40, files: 6 })
    const told = lines('told').filter((line) => line.includes(' spool '))
    expect(told).toEqual([
      expect.stringMatching(`cannot be written to \\(${code}\\): spans stay in memory$`),
      expect.stringMatching('can be written to again$'),
    ])
    expect(lines('replayed')).toEqual(['replayed {"files":6,"spans":60,"rejected":0}'])
    const kept = [...names(100).slice(0, 10), ...names(100).slice(50)]
    expect(new Set(spansAt(collector))).toEqual(new Set(kept))
  },
)
