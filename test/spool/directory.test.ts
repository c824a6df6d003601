/** What the disk sees: in which order, and what of it fails. */
import * as fs from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { captureDiag } from '../helpers/captured-diag.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { end, names } from '../helpers/processors.ts'
import { filesIn, runningCollector, spansIn, spoolFor, temporaryDirectory } from './spools.ts'

const calls = vi.hoisted(() => ({ log: [] as string[], failing: undefined as string | undefined }))

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs')>()
  const watched: Record<string, unknown> = { ...original }
  const paths = new Map<unknown, string>()
  const kindOf = (path: unknown) =>
    /\.tmp$/.test(String(path)) ? 'temporary' : /\.otlp\.pb$/.test(String(path)) ? 'file' : 'directory'
  for (const name of ['open', 'write', 'fsync', 'rename'] as const) {
    const inBackground = original[name] as unknown as (...args: unknown[]) => void
    watched[name] = (...args: unknown[]) => {
      const callback = args.at(-1) as (error: unknown, result?: unknown) => void
      const what = `${name} ${kindOf(paths.get(args[0]) ?? args[0])}`
      if (calls.failing === what) {
        callback(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
        return
      }
      inBackground(...args.slice(0, -1), (error: unknown, result: unknown) => {
        if (name === 'open') paths.set(result, String(args[0]))
        calls.log.push(what)
        callback(error, result)
      })
    }
  }
  return { ...watched, default: watched }
})

async function spoolOf(count: number) {
  const directory = temporaryDirectory()
  const collector = await runningCollector()
  collector.otherwise(answers(503))
  const exporter = spoolFor(collector, directory)
  const processor = watchedProcessor(exporter, {
    circuitBreaker: { failureThreshold: 1 },
    scheduledDelayMillis: 0,
  })
  calls.log.length = 0
  calls.failing = undefined
  onTestFinished(() => {
    calls.failing = undefined
  })
  end(processor, ...names(count))
  return { directory, exporter, processor }
}

describe('a batch on its way to the disk', () => {
  it('is synced before it has its name, and its name before it counts', async () => {
    const { processor } = await spoolOf(3)

    const { spooled } = await processor.flush({ timeoutMillis: 5000 })

    expect(spooled).toBe(3)
    expect(calls.log).toEqual([
      'open temporary',
      'write temporary',
      'fsync temporary',
      'rename temporary',
      'open directory',
      'fsync directory',
    ])
  })

  it.each(['open temporary', 'write temporary', 'fsync temporary', 'rename temporary', 'fsync directory'])(
    'stays in memory where %s finds no space, with one warning, and leaves no half file behind',
    async (failing) => {
      const { directory, exporter, processor } = await spoolOf(3)
      const lines = captureDiag()
      calls.failing = failing

      const first = await processor.flush({ timeoutMillis: 2000 })
      const second = await processor.flush({ timeoutMillis: 2000 })

      expect(first).toMatchObject({ status: 'failure', pending: 3 })
      expect(second).toMatchObject({ status: 'failure', pending: 3 })
      expect(processor.stats()).toMatchObject({ spooled: 0, pending: 3 })
      expect(exporter.stats().written.files).toBe(0)
      expect(lines.filter((line) => line.includes('cannot be written'))).toEqual([
        expect.stringMatching(/\(ENOSPC\): spans stay in memory$/),
      ])
      // Where only the sync of the directory failed it may be there, and may be delivered twice.
      const left = failing === 'fsync directory' ? names(3) : []
      expect(filesIn(directory).filter((name) => name.endsWith('.tmp'))).toEqual([])
      expect(spansIn(directory)).toEqual(left)
    },
  )

  it('goes there once there is space again', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { directory, processor } = await spoolOf(3)
    const lines = captureDiag()
    calls.failing = 'write temporary'
    await processor.flush({ timeoutMillis: 1000 })

    calls.failing = undefined
    vi.advanceTimersByTime(10_000)
    const result = await processor.flush({ timeoutMillis: 1000 })

    expect(result).toMatchObject({ spooled: 3, pending: 0 })
    expect(spansIn(directory)).toEqual(names(3))
    expect(lines.filter((line) => line.includes('can be written to again'))).toHaveLength(1)
    expect(fs.existsSync(directory)).toBe(true)
  })
})
