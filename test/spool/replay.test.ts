import { exec, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { splitRequest } from '../../src/spool/request.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { namesOf } from '../helpers/gates.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers, type Collector } from '../helpers/misbehaving-collector.ts'
import { rejects } from '../helpers/misbehaviours.ts'
import { end, names } from '../helpers/processors.ts'
import { filesIn, runningCollector, spansAt, spansIn, spoolFor, temporaryDirectory } from './spools.ts'

const PATIENCE = { timeout: 15_000, interval: 20 }
const IMPATIENT: BatchSpanProcessorOptions = { retry: false, scheduledDelayMillis: 0, circuitBreaker: false }

/** Writes batches of these spans into a spool whose processor is gone, one file each. */
async function leave(directory: string, ...batches: string[][]): Promise<void> {
  const collector = await runningCollector()
  collector.otherwise(answers(503))
  const processor = watchedProcessor(spoolFor(collector, directory), IMPATIENT)
  for (const batch of batches) {
    end(processor, ...batch)
    await processor.flush()
  }
  await processor.shutdown()
}

/** Whether there is curl; where CI says so, there must be. */
function canCurl(): boolean {
  return Boolean(process.env.CI) || spawnSync('curl', ['--version']).status === 0
}

/** A processor of the next process. */
function next(collector: Collector, directory: string, options: Parameters<typeof spoolFor>[2] = {}) {
  const exporter = spoolFor(collector, directory, { maxReplaysPerSecond: 100, ...options })
  const processor = watchedProcessor(exporter, IMPATIENT)
  return { exporter, processor }
}

describe('what lies in a spool', { timeout: 30_000 }, () => {
  it('is delivered when the backend answers again, oldest first, behind a fresh batch', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.script(answers(503), answers(503))
    const { exporter, processor } = next(collector, directory)
    end(processor, 'first')
    await processor.flush()
    end(processor, 'second')
    await processor.flush()
    expect(processor.stats().spooled).toBe(2)

    end(processor, 'fresh')
    expect(await processor.flush()).toMatchObject({ status: 'success' })

    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(2), PATIENCE)
    expect(filesIn(directory)).toEqual([])
    expect(spansAt(collector)).toEqual(['first', 'second', 'fresh', 'first', 'second'])
    expect(exporter.stats()).toMatchObject({
      written: { files: 2, spans: 2 },
      replayed: { files: 2, spans: 2, rejected: 0 },
      waiting: { files: 0, bytes: 0 },
    })
    expect(processor.stats()).toMatchObject({ exported: 1, spooled: 2, pending: 0 })
  })

  it('is delivered by the next process, which need not end a single span', async () => {
    const directory = temporaryDirectory()
    await leave(directory, names(3, 'a'), names(2, 'b'))
    const collector = await runningCollector()

    const { exporter } = next(collector, directory)

    await vi.waitFor(
      () => expect(exporter.stats().replayed).toEqual({ files: 2, spans: 5, rejected: 0 }),
      PATIENCE,
    )
    expect(spansAt(collector)).toEqual([...names(3, 'a'), ...names(2, 'b')])
    expect(filesIn(directory)).toEqual([])
  })

  const curling = canCurl() ? it : it.skip
  curling(
    'can be sent by curl, with the command that README shows (skipped where there is no curl)',
    async () => {
      const directory = temporaryDirectory()
      await leave(directory, names(3))
      const collector = await runningCollector()
      const shown = /^curl --data-binary @\S+ \\\n.+$/m.exec(readFileSync('README.md', 'utf8'))![0]
      const path = join(directory, filesIn(directory)[0]!)

      const command = shown.replace(/@\S+/, () => `@${path}`).replace(/http:\S+/, () => collector.url)
      const { stdout } = await promisify(exec)(
        `${command} --silent --show-error --noproxy '*' --write-out '%{http_code}'`,
      )

      expect(stdout).toMatch(/200$/)
      expect(spansAt(collector)).toEqual(names(3))
      expect(collector.requests[0]!.headers['content-type']).toBe('application/x-protobuf')
    },
  )

  it('is delivered once by several processes that share it', async () => {
    const directory = temporaryDirectory()
    const batches = names(30).map((name) => [name])
    await leave(directory, ...batches)
    const collector = await runningCollector()

    const processes = [1, 2, 3].map(() => next(collector, directory))

    const replayed = () => processes.map(({ exporter }) => exporter.stats().replayed.files)
    await vi.waitFor(() => expect(replayed().reduce((sum, files) => sum + files)).toBe(30), PATIENCE)
    expect(filesIn(directory)).toEqual([])
    expect(spansAt(collector).sort()).toEqual(names(30).sort())
    expect(Math.min(...replayed())).toBeGreaterThan(0)
  })

  it('comes no faster than it may', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ...names(6).map((name) => [name]))
    const collector = await runningCollector()

    next(collector, directory, { maxReplaysPerSecond: 5 })
    await collector.whenRequests(1)
    const startedAt = performance.now()
    await collector.whenRequests(6)

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(5 * 200 - 20)
  })

  it('waits again where the backend is away, and is tried more and more rarely', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['a'], ['b'])
    const collector = await runningCollector()
    collector.script(answers(503), answers(503))

    const { exporter } = next(collector, directory)

    await collector.whenRequests(1)
    await vi.waitFor(() => expect(spansIn(directory)).toEqual(['a', 'b']), PATIENCE)
    const startedAt = performance.now()
    await collector.whenRequests(3)
    // One second after the first failure, two after the second one.
    expect(performance.now() - startedAt).toBeGreaterThan(2500)
    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(2), PATIENCE)
    // One of them may be poison: the other one has its turn.
    expect(spansAt(collector)).toEqual(['a', 'b', 'a', 'b'])
  })

  it('is halved where it is too large, and one span that is too large is set aside', async () => {
    const directory = temporaryDirectory()
    await leave(directory, names(4))
    const collector = await runningCollector()
    collector.script(answers(413), answers(200), answers(413), answers(200), answers(413))

    const { exporter } = next(collector, directory)

    await vi.waitFor(() => expect(exporter.stats().setAside).toEqual({ files: 1 }), PATIENCE)
    expect(collector.requests.map(({ body }) => namesOf(body))).toEqual([
      names(4),
      names(2),
      names(4).slice(2),
      ['span-2'],
      ['span-3'],
    ])
    expect(exporter.stats().replayed).toEqual({ files: 2, spans: 3, rejected: 0 })
    expect(filesIn(directory)).toEqual([expect.stringMatching(/\.otlp\.pb\.set-aside$/)])
  })

  it('is set aside where the backend refuses it, and what follows is delivered', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['bad'], ['good'])
    const collector = await runningCollector()
    collector.script(answers(400))
    const lines = captureDiag()

    const { exporter } = next(collector, directory)

    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(1), PATIENCE)
    const [aside, ...others] = filesIn(directory)
    expect(others).toEqual([])
    expect(namesOf(readFileSync(join(directory, aside!)))).toEqual(['bad'])
    expect(lines.join('\n')).toMatch(
      /set-aside in the spool .* is set aside: the backend refuses it .*answered 400/,
    )
  })

  it('counts what a backend rejected of it', async () => {
    const directory = temporaryDirectory()
    await leave(directory, names(3))
    const collector = await runningCollector()
    collector.script(rejects(2, 'no room'))

    const { exporter } = next(collector, directory)

    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(1), PATIENCE)
    expect(exporter.stats().replayed).toEqual({ files: 1, spans: 1, rejected: 2 })
  })

  it('is left alone for as long as the backend has asked for', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.script(answers(503, { headers: { 'retry-after': '3' } }))
    const { processor } = next(collector, directory)
    end(processor, 'a')
    const startedAt = performance.now()
    await processor.flush({ timeoutMillis: 1000 })
    expect(spansIn(directory)).toEqual(['a'])

    await collector.whenRequests(2)

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2950)
    await vi.waitFor(() => expect(filesIn(directory)).toEqual([]), PATIENCE)
  })

  it('is replayed for who asks, at once, until nothing waits', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['a'], ['b'], ['c'])
    const collector = await runningCollector()
    const { exporter } = next(collector, directory)

    const stats = await exporter.replay({ timeoutMillis: 10_000 })

    expect(stats).toMatchObject({ replayed: { files: 3, spans: 3 }, waiting: { files: 0 } })
    expect(spansAt(collector)).toEqual(['a', 'b', 'c'])
  })

  it('is replayed for who asks no longer than he waits, nor where the backend is away', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['a'], ['b'])
    const collector = await runningCollector()
    collector.script(answers(503))
    collector.otherwise({ stage: 'request', act() {} })
    const { exporter } = next(collector, directory)

    const away = await exporter.replay({ timeoutMillis: 10_000 })
    const startedAt = performance.now()
    const hanging = await exporter.replay({ timeoutMillis: 200 })

    expect(away.replayed.files).toBe(0)
    expect(collector.requests).toHaveLength(2)
    expect(hanging.replayed.files).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  it('is not replayed for anybody while the backend has asked to be left alone', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['a'], ['b'])
    const collector = await runningCollector()
    collector.script(answers(503, { headers: { 'retry-after': '60' } }))
    const { exporter } = next(collector, directory)

    await exporter.replay({ timeoutMillis: 10_000 })
    await exporter.replay({ timeoutMillis: 10_000 })

    expect(collector.requests).toHaveLength(1)
    expect(spansIn(directory)).toEqual(['a', 'b'])
  })

  it('is let go of when the process shuts down meanwhile', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['a'])
    const collector = await runningCollector()
    collector.otherwise({ stage: 'request', act() {} })
    const { processor } = next(collector, directory)
    await collector.whenRequests(1)
    expect(filesIn(directory)).toEqual([expect.stringMatching(/\.claimed-/)])

    await processor.shutdown()

    expect(spansIn(directory)).toEqual(['a'])
  })

  it('is taken over from a process that died with it', async () => {
    const directory = temporaryDirectory()
    await leave(directory, ['claimed'], ['half written'])
    const [claimed, written] = filesIn(directory)
    const collector = await runningCollector()
    collector.otherwise({ stage: 'request', act() {} })
    // What a claim of this host looks like, with the id of a process that is gone.
    const { processor } = next(collector, directory)
    await collector.whenRequests(1)
    const [claim] = filesIn(directory).filter((name) => name.includes('.claimed-'))
    const owner = /claimed-(.+)$/.exec(claim!)![1]!
    const dead = owner.replace(/-\d+-([0-9a-f]{8})$/, '-4194304-00000000')
    await processor.shutdown()
    renameSync(join(directory, claimed!), join(directory, `${claimed}.claimed-${dead}`))
    renameSync(join(directory, written!), join(directory, `.${written}.${dead}.tmp`))
    collector.otherwise(answers(200))

    next(collector, directory)

    await vi.waitFor(() => expect(filesIn(directory)).toEqual([]), PATIENCE)
    expect(spansAt(collector).slice(1)).toEqual(['claimed', 'half written'])
  })
})

describe('a file that is not a batch', { timeout: 30_000 }, () => {
  it('is set aside and reported, or left alone if it is not ours, and does not hold up the others', async () => {
    const directory = temporaryDirectory()
    await leave(directory, names(50), ['good'])
    const [whole] = filesIn(directory)
    const body = readFileSync(join(directory, whole!))
    const file = (sequence: string) => join(directory, `1700000000000-${sequence.padStart(16, '0')}.otlp.pb`)
    const torn = Buffer.from(body)
    torn.fill(0, body.length - 20)
    writeFileSync(file('1'), body.subarray(0, body.length - 1))
    writeFileSync(file('2'), torn)
    writeFileSync(file('3'), '')
    writeFileSync(file('4'), 'I am no request at all')
    mkdirSync(file('5'))
    writeFileSync(join(directory, 'notes.txt'), 'mine')
    const collector = await runningCollector()
    const lines = captureDiag()

    const { exporter } = next(collector, directory, { maxAgeMillis: 2 ** 45 })

    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(2), PATIENCE)
    expect(spansAt(collector)).toEqual([...names(50), 'good'])
    expect(exporter.stats().setAside).toEqual({ files: 5 })
    expect(filesIn(directory)).toEqual([
      ...[1, 2, 3, 4, 5].map((n) => expect.stringMatching(`0${n}.otlp.pb.set-aside`)),
      'notes.txt',
    ])
    expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine')
    const told = lines.join('\n')
    expect(told).toMatch(/is set aside: it is torn, or was never a request/)
    expect(told).toMatch(/is set aside: it cannot be read \(EISDIR\)/)
    expect(told).toMatch(/notes\.txt in the spool .* is left alone/)
  })
})

describe('the bounds of a spool', { timeout: 30_000 }, () => {
  it('push out the oldest files, and every span is counted', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const probe = temporaryDirectory()
    await leave(probe, names(20).slice(10))
    const { length } = readFileSync(join(probe, filesIn(probe)[0]!))
    const exporter = spoolFor(collector, directory, { maxBytes: 3 * length })
    const processor = watchedProcessor(exporter, IMPATIENT)

    for (let i = 0; i < 5; i++) {
      end(processor, ...names(60).slice(10 * i + 10, 10 * i + 20))
      await processor.flush()
    }

    expect(spansIn(directory)).toEqual(names(60).slice(30))
    expect(exporter.stats()).toMatchObject({
      written: { files: 5, spans: 50 },
      evicted: { files: 2, spans: 20 },
      waiting: { files: 3 },
    })
  })

  it('give up what is too old, whoever wrote it', async () => {
    const directory = temporaryDirectory()
    await leave(directory, names(3))
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    vi.setSystemTime(Date.now() + 59_000)
    await leave(directory, ['young'])
    vi.setSystemTime(Date.now() + 2000)
    const collector = await runningCollector()

    const { exporter } = next(collector, directory, { maxAgeMillis: 60_000 })

    await vi.waitFor(() => expect(exporter.stats().replayed.files).toBe(1), PATIENCE)
    expect(spansAt(collector)).toEqual(['young'])
    expect(exporter.stats().evicted).toEqual({ files: 1, spans: 3 })
  })

  it('refuse a batch that is larger than all of it', async () => {
    const directory = temporaryDirectory()
    const collector = await runningCollector()
    collector.otherwise(answers(503))
    const processor = watchedProcessor(spoolFor(collector, directory, { maxBytes: 10 }), IMPATIENT)

    end(processor, ...names(3))
    await processor.flush()

    expect(processor.stats()).toMatchObject({ spooled: 0, dropped: { retry_exhausted: 3 } })
    expect(filesIn(directory)).toEqual([])
  })
})

it('B42: halves of a request are requests of the same spans', async () => {
  const directory = temporaryDirectory()
  await leave(directory, names(257))
  const body = readFileSync(join(directory, filesIn(directory)[0]!))

  const [first, second] = splitRequest(body)

  expect(namesOf(first)).toEqual(names(257).slice(0, 128))
  expect(namesOf(second)).toEqual(names(257).slice(128))
})
