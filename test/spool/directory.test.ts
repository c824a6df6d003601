/** What the disk sees: in which order, and what of it fails. */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { flushSync } from 'tailrace/node'
import { describe, expect, it, onTestFinished, test, vi } from 'vitest'
import { captureDiag } from '../helpers/captured-diag.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { end, names } from '../helpers/processors.ts'
import { filesIn, runningCollector, spansAt, spansIn, spoolFor, temporaryDirectory } from './spools.ts'

const calls = vi.hoisted(() => ({
  log: [] as string[],
  /** Paths, in order. */
  synced: [] as string[],
  /** A call and what it is made for, or the path. */
  failing: undefined as string | undefined,
  code: 'ENOSPC',
  /** So many of them succeed before. */
  passing: 0,
  /** What a sync takes that is waited for, on a fake clock. */
  syncMillis: 0,
}))

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:fs')>()
  const watched: Record<string, unknown> = { ...original }
  const paths = new Map<unknown, string>()
  const kindOf = (path: unknown) =>
    /\.tmp$/.test(String(path))
      ? 'temporary'
      : /\.otlp\.pb$/.test(String(path))
        ? 'file'
        : String(path).includes('.claimed-')
          ? 'claim'
          : 'directory'
  for (const name of ['open', 'readFile', 'write', 'fsync', 'rename', 'unlink'] as const) {
    const inBackground = original[name] as unknown as (...args: unknown[]) => void
    const atOnce = original[`${name}Sync`] as unknown as (...args: unknown[]) => unknown
    watched[`${name}Sync`] = (...args: unknown[]) => {
      if (name === 'fsync' && calls.syncMillis > 0) vi.advanceTimersByTime(calls.syncMillis)
      return atOnce(...args)
    }
    watched[name] = (...args: unknown[]) => {
      const callback = args.at(-1) as (error: unknown, result?: unknown) => void
      const path = paths.get(args[0]) ?? args[0]
      const what = `${name} ${kindOf(path)}`
      const isMeant = calls.failing === what || calls.failing === `${name} ${path}`
      if (isMeant && calls.passing-- <= 0) {
        callback(Object.assign(new Error(`${calls.code}, on purpose`), { code: calls.code }))
        return
      }
      inBackground(...args.slice(0, -1), (error: unknown, result: unknown) => {
        if (name === 'open') paths.set(result, String(args[0]))
        if (name === 'fsync') calls.synced.push(String(path))
        calls.log.push(what)
        callback(error, result)
      })
    }
  }
  return { ...watched, default: watched }
})

/** From now on, until it is told otherwise. */
function fail(failing: string | undefined, code = 'ENOSPC', passing = 0): void {
  Object.assign(calls, { failing, code, passing })
}

async function spoolOf(count: number, directory = temporaryDirectory(), maxBytes = 2 ** 20) {
  const collector = await runningCollector()
  collector.otherwise(answers(503))
  const exporter = spoolFor(collector, directory, { maxBytes })
  const processor = watchedProcessor(exporter, {
    circuitBreaker: { failureThreshold: 1 },
    scheduledDelayMillis: 0,
  })
  calls.log.length = calls.synced.length = 0
  fail(undefined)
  onTestFinished(() => fail(undefined))
  end(processor, ...names(count))
  return { directory, exporter, processor, collector }
}

/** A spool with a batch in it, and a backend that is there again. */
async function spoolHolding(count: number) {
  const all = await spoolOf(count)
  await all.processor.flush({ timeoutMillis: 5000 })
  expect(all.processor.stats().spooled).toBe(count)
  all.collector.otherwise(answers(200))
  return all
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
      fail(failing)

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
    fail('write temporary')
    await processor.flush({ timeoutMillis: 1000 })

    fail(undefined)
    vi.advanceTimersByTime(10_000)
    const result = await processor.flush({ timeoutMillis: 1000 })

    expect(result).toMatchObject({ spooled: 3, pending: 0 })
    expect(spansIn(directory)).toEqual(names(3))
    expect(lines.filter((line) => line.includes('can be written to again'))).toHaveLength(1)
    expect(fs.existsSync(directory)).toBe(true)
  })
})

describe('a write that failed a moment ago', () => {
  it('keeps a shutdown from nothing: what waits goes to the disk all the same', async () => {
    const { directory, processor } = await spoolOf(3)
    fail('write temporary')
    expect(await processor.flush({ timeoutMillis: 1000 })).toMatchObject({ pending: 3 })

    fail(undefined)
    await processor.shutdown({ timeoutMillis: 2000 })

    expect(processor.stats()).toMatchObject({ spooled: 3, pending: 0, dropped: { shutdown_timeout: 0 } })
    expect(spansIn(directory)).toEqual(names(3))
  })

  it('keeps the end of the process from nothing', async () => {
    const { directory, processor } = await spoolOf(3 * 512)
    fail('write temporary')
    const { pending } = await processor.flush({ timeoutMillis: 1000 })
    expect(pending).toBe(3 * 512)

    fail(undefined)
    const result = flushSync(processor, { timeoutMillis: 5000 })

    expect(result).toMatchObject({ spooled: 3 * 512, pending: 0 })
    expect(filesIn(directory)).toHaveLength(3)
  })
})

describe('a spool that is full', () => {
  /** Room for two batches of three spans, and two such batches. */
  async function fullSpool() {
    const probe = await spoolHolding(3)
    const [file] = filesIn(probe.directory)
    const { size } = fs.statSync(join(probe.directory, file!))
    const full = await spoolOf(3, temporaryDirectory(), 2 * size)
    await full.processor.flush({ timeoutMillis: 5000 })
    end(full.processor, ...names(3))
    await full.processor.flush({ timeoutMillis: 5000 })
    expect(filesIn(full.directory)).toHaveLength(2)
    end(full.processor, ...names(3))
    return full
  }

  it('takes nothing more while nothing can be removed from it, with one warning', async () => {
    const { directory, exporter, processor } = await fullSpool()
    const before = filesIn(directory)
    const lines = captureDiag()
    fail('unlink file', 'EPERM')

    const results = [
      await processor.flush({ timeoutMillis: 1000 }),
      await processor.flush({ timeoutMillis: 1000 }),
    ]

    expect(results).toMatchObject([{ pending: 3 }, { pending: 3 }])
    expect(filesIn(directory)).toEqual(before)
    expect(exporter.stats().evicted.files).toBe(0)
    expect(lines.filter((line) => line.includes('cannot be written'))).toEqual([
      expect.stringMatching(/\(EPERM\): spans stay in memory$/),
    ])
  })

  it('makes room elsewhere where only the oldest file cannot be removed', async () => {
    const { directory, exporter, processor } = await fullSpool()
    const [oldest, next] = filesIn(directory)
    fail(`unlink ${join(directory, oldest!)}`, 'EBUSY')

    expect(await processor.flush({ timeoutMillis: 5000 })).toMatchObject({ spooled: 3 })

    expect(exporter.stats().evicted.files).toBe(1)
    expect(filesIn(directory)).toContain(oldest)
    expect(filesIn(directory)).not.toContain(next)
  })
})

test('flushSync begins no batch after its time, however slow the disk is', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const { directory, processor } = await spoolOf(4 * 512)
  calls.syncMillis = 100
  onTestFinished(() => {
    calls.syncMillis = 0
  })

  const startedAt = performance.now()
  const result = flushSync(processor, { timeoutMillis: 450 })

  // Two syncs each: of the file, and of the directory.
  expect(performance.now() - startedAt).toBe(600)
  expect(filesIn(directory)).toHaveLength(3)
  expect(result).toMatchObject({ status: 'timeout', spooled: 3 * 512, pending: 512 })
})

describe('a batch on its way back', () => {
  it('is left alone where it cannot be claimed just now, with one warning, and delivered a minute later', async () => {
    vi.useFakeTimers({ toFake: ['performance'], shouldAdvanceTime: true })
    const { directory, exporter, collector } = await spoolHolding(3)
    const lines = captureDiag()
    fail('rename file', 'EBUSY')
    await exporter.replay({ timeoutMillis: 5000 })
    await exporter.replay({ timeoutMillis: 5000 })
    expect(exporter.stats()).toMatchObject({ setAside: { files: 0 }, waiting: { files: 1 } })

    fail(undefined)
    await exporter.replay({ timeoutMillis: 5000 })
    expect(spansIn(directory)).toEqual(names(3))
    vi.advanceTimersByTime(60_000)
    await exporter.replay({ timeoutMillis: 5000 })

    expect(exporter.stats()).toMatchObject({ replayed: { files: 1, spans: 3 }, waiting: { files: 0 } })
    expect(spansAt(collector).slice(-3)).toEqual(names(3))
    expect(lines.filter((line) => line.includes('is left alone for now'))).toEqual([
      expect.stringMatching(/: it cannot be claimed \(EBUSY\)$/),
    ])
  })

  it.each(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])(
    'waits again where reading it fails for want of something else (%s), and is delivered a minute later',
    async (code) => {
      vi.useFakeTimers({ toFake: ['performance'], shouldAdvanceTime: true })
      const { directory, exporter, collector } = await spoolHolding(3)
      const lines = captureDiag()
      fail('readFile claim', code)
      await exporter.replay({ timeoutMillis: 5000 })
      expect(exporter.stats()).toMatchObject({ setAside: { files: 0 }, waiting: { files: 1 } })
      expect(spansIn(directory)).toEqual(names(3))

      fail(undefined)
      vi.advanceTimersByTime(60_000)
      await exporter.replay({ timeoutMillis: 5000 })

      expect(exporter.stats()).toMatchObject({ replayed: { files: 1, spans: 3 }, waiting: { files: 0 } })
      expect(spansAt(collector).slice(-3)).toEqual(names(3))
      expect(lines.filter((line) => line.includes('is left alone for now'))).toEqual([
        expect.stringContaining(`: it cannot be read (${code})`),
      ])
    },
  )

  it("is nobody's loss where it is gone when it is read", async () => {
    const { directory, exporter } = await spoolHolding(3)
    const lines = captureDiag()
    fail('readFile claim', 'ENOENT')

    const stats = await exporter.replay({ timeoutMillis: 5000 })

    expect(stats.setAside).toEqual({ files: 0 })
    expect(filesIn(directory).filter((name) => name.endsWith('.set-aside'))).toEqual([])
    expect(lines.filter((line) => line.includes('cannot be read'))).toEqual([])
  })

  it('is not sent twice where it cannot be removed, and removed once it can', async () => {
    const { directory, exporter, collector } = await spoolHolding(3)
    const attempts = collector.requests.length
    fail('unlink claim', 'EACCES')
    await exporter.replay({ timeoutMillis: 5000 })
    await exporter.replay({ timeoutMillis: 5000 })
    expect(filesIn(directory)).toEqual([expect.stringMatching(/\.claimed-/)])

    fail(undefined)
    const stats = await exporter.replay({ timeoutMillis: 5000 })

    expect(filesIn(directory)).toEqual([])
    expect(collector.requests).toHaveLength(attempts + 1)
    expect(stats).toMatchObject({ replayed: { files: 1, spans: 3 }, waiting: { files: 0 } })
  })

  it('waits again where it cannot be let go of, and is sent by the same process', async () => {
    const { directory, exporter, collector } = await spoolHolding(3)
    collector.script(answers(503))
    fail('rename claim', 'EIO')
    await exporter.replay({ timeoutMillis: 5000 })
    expect(filesIn(directory)).toEqual([expect.stringMatching(/\.claimed-/)])

    fail(undefined)
    const stats = await exporter.replay({ timeoutMillis: 10_000 })

    expect(stats).toMatchObject({ replayed: { files: 1, spans: 3 }, waiting: { files: 0 } })
    expect(filesIn(directory)).toEqual([])
  })

  it('waits again as a whole where there is no room for its halves, and keeps its age when there is', async () => {
    const { directory, exporter, collector } = await spoolHolding(4)
    const [whole] = filesIn(directory)
    collector.script(answers(413))
    fail('write temporary')
    await exporter.replay({ timeoutMillis: 5000 })
    expect(filesIn(directory)).toEqual([whole])

    collector.script(answers(413), answers(503))
    fail(undefined)
    await exporter.replay({ timeoutMillis: 10_000 })

    const written = whole!.split('-')[0]
    const half = expect.stringMatching(`^${written}-`)
    expect(filesIn(directory)).toEqual([half, half])
    expect(spansIn(directory)).toEqual(names(4))
  })
})

it.each(['write temporary', 'rename temporary', 'fsync directory'])(
  'a batch waits again as a whole, without halves beside it, where its second half fails at %s',
  async (failing) => {
    const { directory, exporter, collector } = await spoolHolding(4)
    const [whole] = filesIn(directory)
    collector.script(answers(413))
    fail(failing, 'ENOSPC', 1)

    const stats = await exporter.replay({ timeoutMillis: 5000 })

    expect(filesIn(directory)).toEqual([whole])
    expect(stats.waiting.files).toBe(1)
  },
)

describe('a directory that is not there', () => {
  it('is made, and synced into its parents before anything is in it', async () => {
    const parent = temporaryDirectory()
    const directory = join(parent, 'a/b/spool')
    const { processor } = await spoolOf(3, directory)

    await processor.flush({ timeoutMillis: 5000 })
    end(processor, 'more')
    await processor.flush({ timeoutMillis: 5000 })

    const file = expect.stringMatching(/\.tmp$/)
    const parents = [join(parent, 'a/b'), join(parent, 'a'), parent]
    expect(processor.stats().spooled).toBe(4)
    expect(calls.synced).toEqual([...parents, file, directory, file, directory])
  })

  it('counts as there only when that has worked, be it later', async () => {
    vi.useFakeTimers({ toFake: ['performance'], shouldAdvanceTime: true })
    const parent = temporaryDirectory()
    const directory = join(parent, 'spool')
    const { processor } = await spoolOf(3, directory)
    fail('fsync directory', 'EIO')
    expect(await processor.flush({ timeoutMillis: 1000 })).toMatchObject({ pending: 3 })
    expect(filesIn(directory)).toEqual([])

    fail(undefined)
    vi.advanceTimersByTime(10_000)
    expect(await processor.flush({ timeoutMillis: 1000 })).toMatchObject({ spooled: 3 })

    expect(calls.synced).toEqual([parent, expect.stringMatching(/\.tmp$/), directory])
  })

  it('may have a parent that cannot be read', async () => {
    const parent = temporaryDirectory()
    const { processor } = await spoolOf(3, join(parent, 'spool'))
    fail(`open ${parent}`, 'EACCES')

    expect(await processor.flush({ timeoutMillis: 5000 })).toMatchObject({ spooled: 3 })
  })
})

describe('a directory that cannot be synced', () => {
  it.each(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])(
    'is good enough where its file system says %s: it knows no such thing',
    async (code) => {
      const { directory, processor } = await spoolOf(3)
      fail('fsync directory', code)

      expect(await processor.flush({ timeoutMillis: 5000 })).toMatchObject({ spooled: 3 })

      expect(spansIn(directory)).toEqual(names(3))
    },
  )

  it.each([
    ['open directory', 'EISDIR'],
    ['open directory', 'EPERM'],
    ['fsync directory', 'EPERM'],
  ])('is good enough on Windows, which keeps a journal: %s, %s', async (failing, code) => {
    const { platform } = process
    onTestFinished(() => void Object.defineProperty(process, 'platform', { value: platform }))
    Object.defineProperty(process, 'platform', { value: 'win32' })
    const { directory, exporter, processor, collector } = await spoolOf(3)
    fail(failing, code)

    expect(await processor.flush({ timeoutMillis: 5000 })).toMatchObject({ spooled: 3 })
    collector.otherwise(answers(200))
    expect(await exporter.replay({ timeoutMillis: 5000 })).toMatchObject({ replayed: { files: 1, spans: 3 } })

    expect(filesIn(directory)).toEqual([])
  })
})

it('names of files are such that every file system takes them: no colon, nothing long, lower case', async () => {
  const { directory, collector, exporter } = await spoolHolding(1)
  const seen = new Set(filesIn(directory))
  const see = (name: string) => void seen.add(name)
  collector.otherwise({ stage: 'request', act: () => filesIn(directory).forEach(see) })
  await exporter.replay({ timeoutMillis: 500 })

  expect(seen.size).toBe(2)
  for (const name of seen) {
    expect(name).toMatch(/^[a-z0-9.-]+$/)
    expect(name.length).toBeLessThan(120)
  }
})
