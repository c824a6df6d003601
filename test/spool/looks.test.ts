/** How often a spool looks at its directory, and what it knows of it in between. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { ByAge } from '../../src/spool/by-age.ts'
import { type Call, runSync, type Steps } from '../../src/spool/calls.ts'
import { type Claim, SpoolDirectory } from '../../src/spool/directory.ts'
import { type Entry, parseName } from '../../src/spool/names.ts'
import { SpoolStore } from '../../src/spool/store.ts'
import { filesIn, temporaryDirectory } from './spools.ts'

/** A request: the span `a`, in a scope, in a resource. */
const body = Uint8Array.of(0x0a, 7, 0x12, 5, 0x12, 3, 0x2a, 1, 0x61)
const NOTHING_FAILED: ReadonlySet<string> = new Set()

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
  return () => void vi.useRealTimers()
})

/** A process that shares the directory, and the calls that it makes. */
function sharer(directory: string, limits: { maxBytes?: number; maxAgeMillis?: number } = {}) {
  const told: string[] = []
  const made: string[] = []
  const spool = new SpoolDirectory(
    { directory, maxBytes: 2 ** 30, maxAgeMillis: 86_400_000, ...limits },
    {
      evicted: () => told.push('evicted'),
      setAside: (name) => told.push(`aside ${name}`),
      stuck: (name) => told.push(`stuck ${name}`),
      foreign: (name) => told.push(`foreign ${name}`),
    },
  )
  const listener = { called: (_name: string) => {} }
  const watch = <Result>(steps: Steps<Result>) =>
    watched(steps, ({ name }) => {
      made.push(name)
      listener.called(name)
    })
  return {
    told,
    listener,
    write: () => runSync(watch(spool.write(body))),
    /** As the end of a process does, and a queue that is full. */
    writeAtOnce: () => runSync(watch(spool.write(body, true))),
    claim: (last = NOTHING_FAILED) => runSync(watch(spool.claim(last))),
    release: ({ entry }: Claim) => runSync(watch(spool.release(entry))),
    delivered: (claim: Claim) => runSync(watch(spool.remove(claim))),
    refused: ({ entry }: Claim) => runSync(watch(spool.setAside(entry, 'refused'))),
    waiting: () => spool.waiting,
    /** The calls since it was last asked. */
    calls: () => made.splice(0),
    looks: () => made.splice(0).filter((name) => name === 'readdir').length,
  }
}

/** The same steps, and somebody hears of each call when it has been made. */
function* watched<Result>(steps: Steps<Result>, hear: (call: Call) => void): Steps<Result> {
  let next = steps.next()
  while (!next.done) {
    const call = next.value
    let result: unknown
    try {
      result = yield call
    } catch (error) {
      next = steps.throw(error)
      continue
    } finally {
      hear(call)
    }
    next = steps.next(result)
  }
  return next.value
}

/** A directory with files of a process that is gone, written at these milliseconds of an hour ago. */
function directoryOf(count: number): string {
  const directory = temporaryDirectory()
  for (let i = 0; i < count; i++) writeFileSync(join(directory, fileName(i)), body)
  return directory
}

const AN_HOUR_AGO = Date.now() - 3_600_000

function fileName(index: number): string {
  return `${AN_HOUR_AGO + index}-${'0'.repeat(8)}${index.toString(16).padStart(8, '0')}.otlp.pb`
}

describe('the directory of a spool', () => {
  it('is not listed for each write and each claim: they make the same calls however many files are there', () => {
    const callsOf = (count: number) => {
      const { claim, delivered, write, calls } = sharer(directoryOf(count))
      write()
      calls()
      for (let i = 0; i < 10; i++) write()
      const claims = Array.from({ length: 10 }, () => claim()!)
      for (const each of claims) delivered(each)
      return calls()
    }

    const calls = callsOf(500)

    expect(calls).not.toContain('readdir')
    expect(calls).not.toContain('stat')
    expect(calls).toEqual(callsOf(20))
  })

  it('is not listed for each write where each has to push something out', () => {
    const directory = directoryOf(50)
    const { write, looks, told } = sharer(directory, { maxBytes: 50 * body.length })

    for (let i = 0; i < 10; i++) write()

    expect(looks()).toBe(1)
    expect(told).toEqual(Array(10).fill('evicted'))
    expect(filesIn(directory)).toHaveLength(50)
    expect(filesIn(directory)[0]).toBe(fileName(10))
  })

  it('is listed again after a second, by a write and by a claim', () => {
    const { write, claim, looks } = sharer(directoryOf(3))
    write()
    expect(looks()).toBe(1)

    vi.advanceTimersByTime(999)
    write()
    claim()
    expect(looks()).toBe(0)
    vi.advanceTimersByTime(1)
    write()
    expect(looks()).toBe(1)
    vi.advanceTimersByTime(1000)
    claim()
    expect(looks()).toBe(1)
  })

  it('is listed again after ten seconds only by a write that everything waits for', () => {
    const { writeAtOnce, looks, told } = sharer(directoryOf(3), { maxBytes: 5 * body.length })
    writeAtOnce()
    expect(looks()).toBe(1)

    vi.advanceTimersByTime(9999)
    for (let i = 0; i < 3; i++) writeAtOnce()
    expect(told).toEqual(['evicted', 'evicted'])
    expect(looks()).toBe(0)
    vi.advanceTimersByTime(1)
    writeAtOnce()
    expect(looks()).toBe(1)
  })

  it('is listed later by a write within span.end() than by one in the background', async () => {
    const directory = temporaryDirectory()
    const store = new SpoolStore({ directory, maxBytes: 2 ** 30, maxAgeMillis: 86_400_000 })
    store.writeSync(body, 1)
    sharer(directory).write()
    vi.advanceTimersByTime(1000)

    store.writeSync(body, 1)
    expect(store.waiting.files).toBe(2)
    await store.write(body, 1)
    expect(store.waiting.files).toBe(4)
  })

  it('is listed by a claim that knows of nothing more: others may have written something', () => {
    const directory = temporaryDirectory()
    const [one, other] = [sharer(directory), sharer(directory)]
    one.write()
    one.delivered(one.claim()!)
    other.write()
    one.calls()

    expect(one.claim()).toMatchObject({ spanCount: 1 })

    expect(one.looks()).toBe(1)
    expect(one.claim()).toBe(undefined)
    expect(one.looks()).toBe(1)
  })

  it('is listed once a second, however often a claim finds nothing: others may have claimed the rest', () => {
    const directory = directoryOf(3)
    const [one, other] = [sharer(directory), sharer(directory)]
    for (let i = 0; i < 3; i++) other.claim()
    const claimOften = () => {
      for (let i = 0; i < 10; i++) expect(one.claim()).toBe(undefined)
      return one.looks()
    }

    expect(claimOften()).toBe(1)
    expect(one.waiting().files).toBe(3)
    vi.advanceTimersByTime(1000)
    expect(claimOften()).toBe(1)
    one.write()
    one.delivered(one.claim()!)
    // It has found something since.
    expect(claimOften()).toBe(1)
    other.write()
    expect(claimOften()).toBe(0)
    vi.advanceTimersByTime(1000)
    expect(one.claim()).toMatchObject({ spanCount: 1 })
  })

  it('is listed before a file is tried again that has failed: others may have written something', () => {
    const directory = temporaryDirectory()
    const [one, other] = [sharer(directory), sharer(directory)]
    one.write()
    const failed = one.claim()!
    one.release(failed)
    other.write()
    const [, others] = filesIn(directory)

    const last = new Set([failed.entry.base])

    expect(one.claim(last)?.entry.base).toBe(others)
    expect(one.claim(last)?.entry.base).toBe(failed.entry.base)
  })
})

describe('what is known of a directory', () => {
  it('is what was done to it, without another look', () => {
    const { write, claim, release, refused, delivered, looks, ...spool } = sharer(directoryOf(4))
    const waiting = () => {
      const { files, bytes } = spool.waiting()
      expect(bytes).toBe(files * body.length)
      return files
    }
    write()
    expect(waiting()).toBe(5)
    const [first, second, third] = [claim()!, claim()!, claim()!]
    expect(waiting()).toBe(5)

    delivered(first)
    expect(waiting()).toBe(4)
    refused(second)
    expect(waiting()).toBe(3)
    release(third)
    expect(waiting()).toBe(3)
    // It has its place again.
    expect(claim()?.entry.base).toBe(fileName(2))
    expect(looks()).toBe(1)
  })

  it('may be gone: that is passed over', () => {
    const directory = directoryOf(3)
    const { write, claim, told, looks, waiting } = sharer(directory)
    write()
    rmSync(join(directory, fileName(0)))
    renameSync(join(directory, fileName(1)), join(directory, `${fileName(1)}.set-aside`))

    expect(claim()?.entry.base).toBe(fileName(2))

    expect(told).toEqual([])
    expect(looks()).toBe(1)
    expect(waiting().files).toBe(2)
  })

  it('bounds it: what others write counts after a second', () => {
    const directory = temporaryDirectory()
    const [one, other] = [0, 1].map(() => sharer(directory, { maxBytes: 4 * body.length })) as [
      Sharer,
      Sharer,
    ]
    one.write()
    for (let i = 0; i < 3; i++) other.write()

    one.write()
    expect(filesIn(directory)).toHaveLength(5)
    vi.advanceTimersByTime(1000)
    one.write()

    expect(filesIn(directory)).toHaveLength(4)
    expect(one.told).toEqual(['evicted', 'evicted'])
  })

  it('is no longer what others have removed, after a second', () => {
    const directory = directoryOf(3)
    const [one, other] = [0, 1].map(() => sharer(directory, { maxBytes: 4 * body.length })) as [
      Sharer,
      Sharer,
    ]
    one.write()
    for (let i = 0; i < 2; i++) other.delivered(other.claim()!)
    vi.advanceTimersByTime(1000)

    one.write()

    expect(one.told).toEqual([])
    expect(one.waiting()).toEqual({ files: 3, bytes: 3 * body.length })
    vi.advanceTimersByTime(1000)
    expect(one.claim()?.entry.base).toBe(fileName(2))
    expect(one.waiting()).toEqual({ files: 3, bytes: 3 * body.length })
  })

  it('is walked in order, each once, whatever comes and goes meanwhile', () => {
    const files = new ByAge<Entry>()
    const entries = Array.from({ length: 8 }, (_, i) => parseName(fileName(i)) as Entry)
    for (const i of [5, 0, 7, 2, 3, 4, 6]) files.add(entries[i]!)
    const walked: number[] = []

    for (const entry of files.oldestFirst()) {
      const index = entries.indexOf(entry)
      walked.push(index)
      if (index === 3) for (const i of [0, 2, 3]) files.remove(entries[i]!)
      if (index === 4) files.add(entries[1]!)
      if (index === 5) files.change([entries[1]!, entries[6]!], [entries[3]!, entries[0]!])
    }

    expect(walked).toEqual([0, 2, 3, 4, 5, 7])
    expect([...files.oldestFirst()]).toEqual([0, 3, 4, 5, 7].map((i) => entries[i]))
  })

  it('is not forgotten by a look that was under way when it was done', () => {
    const directory = directoryOf(20)
    const { claim, delivered, listener, looks, waiting, write } = sharer(directory)
    listener.called = (name) => {
      if (name !== 'readdir') return
      listener.called = () => {}
      write()
      const [first, second] = [claim()!, claim()!]
      delivered(first)
      delivered(second)
    }

    expect(claim()?.entry.base).toBe(fileName(2))

    expect(looks()).toBe(2)
    expect(waiting()).toEqual({ files: 19, bytes: 19 * body.length })
    expect(filesIn(directory)).toHaveLength(19)
  })

  it('is that of the look that began last, where two were under way at a time', () => {
    const directory = directoryOf(20)
    const other = sharer(directory)
    const { claim, listener, looks, waiting, writeAtOnce } = sharer(directory)
    listener.called = (name) => {
      if (name !== 'readdir') return
      listener.called = () => {}
      other.write()
      vi.advanceTimersByTime(1)
      writeAtOnce()
    }

    claim()

    expect(looks()).toBe(2)
    expect(waiting().files).toBe(22)
  })

  it('heeds that a file grows which somebody else is writing', () => {
    const directory = temporaryDirectory()
    const temporary = join(directory, `.${fileName(0)}.somebody.tmp`)
    const { write, told } = sharer(directory, { maxBytes: 4 * body.length })
    writeFileSync(temporary, '')
    write()
    writeFileSync(temporary, new Uint8Array(3 * body.length))

    write()
    expect(told).toEqual([])
    vi.advanceTimersByTime(1000)
    write()

    expect(told).toEqual(['evicted'])
    expect(filesIn(directory)).toHaveLength(3)
  })

  it('leads a claim past what is set aside, however much that is', () => {
    const directory = directoryOf(100)
    for (let i = 0; i < 99; i++) {
      const path = join(directory, fileName(i))
      renameSync(path, `${path}.set-aside`)
    }
    const walk = ByAge.prototype.oldestFirst
    let passed = 0
    const spy = vi.spyOn(ByAge.prototype, 'oldestFirst').mockImplementation(function* (this: ByAge<Entry>) {
      for (const entry of walk.call(this)) {
        passed++
        yield entry as Entry
      }
    })
    onTestFinished(() => spy.mockRestore())

    expect(sharer(directory).claim()?.entry.base).toBe(fileName(99))

    // Another one is looked at to see whether it is too old.
    expect(passed).toBe(2)
  })

  it('is told of once where it is not ours, however often it is looked at', () => {
    const directory = directoryOf(1)
    writeFileSync(join(directory, 'notes.txt'), 'mine')
    mkdirSync(join(directory, 'folder'))
    const { write, told } = sharer(directory)

    for (let i = 0; i < 3; i++) {
      write()
      vi.advanceTimersByTime(1000)
    }

    expect(told.sort()).toEqual(['foreign folder', 'foreign notes.txt'])
  })
})

type Sharer = ReturnType<typeof sharer>
