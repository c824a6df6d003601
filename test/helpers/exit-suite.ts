/** What must hold when a process exits without waiting: run against real processes of any version of Node. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundleProgram } from './bundle.ts'
import { namesOf } from './gates.ts'
import { answers } from './misbehaving-collector.ts'
import { hangsAfterReading, rejects } from './misbehaviours.ts'
import { type Program, withProgram } from './program.ts'

/** Defines the tests for the Node at `nodePath`. */
export function describeExit(nodePath: string, label: string): void {
  describe(`the exit of a process, on ${label}`, { timeout: 60_000 }, () => {
    let bundle: string
    beforeAll(async () => {
      bundle = await bundleProgram('exiting.ts')
    })

    async function run<Result>(
      name: string,
      {
        timeoutMillis = 10_000,
        directory,
        env,
      }: { timeoutMillis?: number; directory?: string; env?: object },
      check: (program: Program) => Promise<Result>,
    ): Promise<Result> {
      return withProgram((collector) => {
        const args = [
          name,
          collector.url,
          String(timeoutMillis),
          ...(directory === undefined ? [] : [directory]),
        ]
        return spawn(nodePath, [bundle, ...args], {
          env: { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '', ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
        })
      }, check)
    }

    async function withDirectory(check: (directory: string) => Promise<void>): Promise<void> {
      const directory = mkdtempSync(join(tmpdir(), 'tailrace-exit-'))
      try {
        await check(directory)
      } finally {
        rmSync(directory, { recursive: true })
      }
    }

    const spansIn = (directory: string) =>
      readdirSync(directory)
        .sort()
        .flatMap((name) => namesOf(readFileSync(join(directory, name))))

    const millisOf = async (program: Program) => Number((await program.said('took')).slice('took '.length))

    test.concurrent.each([
      { name: 'process.exit', code: 3, says: [] },
      { name: 'an uncaught exception', code: 1, says: ['RangeError: what the program has to say'] },
      { name: 'an unhandled rejection', code: 1, says: ['RangeError: what the program has to say'] },
      { name: 'a natural end', code: 5, says: [] },
    ])('$name delivers what waits, and keeps code and message', ({ name, code, says }) =>
      run(name, {}, async (program) => {
        expect(await program.ended()).toEqual({ end: code, names: ['last'] })
        for (const text of says) expect(program.lines).toContainEqual(expect.stringContaining(text))
        expect(await program.said('ledger')).toBe('ledger {"ended":1,"exported":1,"pending":0}')
        expect(program.all('warned')).toEqual([])
      }),
    )

    test.concurrent.each([
      { name: 'process.exit', code: 3, says: [] },
      { name: 'an uncaught exception', code: 1, says: ['RangeError: what the program has to say'] },
    ])('$name writes what waits to the spool, and keeps code and message', ({ name, code, says }) =>
      withDirectory((directory) =>
        run(name, { directory }, async (program) => {
          expect(await program.ended()).toEqual({ end: code, names: [] })
          for (const text of says) expect(program.lines).toContainEqual(expect.stringContaining(text))
          expect(spansIn(directory)).toEqual(['last'])
          expect(await program.said('ledger')).toBe('ledger {"ended":1,"exported":0,"pending":0,"spooled":1}')
        }),
      ),
    )

    test.concurrent('an exit without spans sends nothing, and the helper thread keeps no process alive', () =>
      run('a natural end without spans', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 0, names: [] })
        expect(program.collector.connectionCount).toBe(0)
      }))

    test.concurrent('many spans travel in batches, one after the other', () =>
      run('many spans', {}, async (program) => {
        const { end, names } = await program.ended()
        expect(end).toBe(3)
        expect(names).toHaveLength(1000)
        expect(program.collector.requests).toHaveLength(10)
        expect(program.collector.requests[0]!.headers).toMatchObject({
          'content-type': 'application/x-protobuf',
          'user-agent': expect.stringMatching(/^tailrace\//),
        })
      }))

    test.concurrent('a collector that hangs holds up the exit no longer than it may', () =>
      run('many spans', { timeoutMillis: 500 }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        expect((await program.ended()).end).toBe(3)
        const millis = await millisOf(program)
        expect(millis).toBeGreaterThanOrEqual(495)
        expect(millis).toBeLessThan(1500)
        expect(await program.said('warned tailrace: 1000 spans are lost')).toBeTruthy()
        expect(await program.said('ledger')).toBe('ledger {"ended":1000,"exported":0,"pending":1000}')
      }))

    test.concurrent('a collector that is down holds up nothing', () =>
      run('many spans', {}, async (program) => {
        program.collector.otherwise(answers(503))
        expect((await program.ended()).end).toBe(3)
        expect(await millisOf(program)).toBeLessThan(5000)
        expect(program.collector.requests).toHaveLength(1)
        expect(await program.said('ledger')).toBe('ledger {"ended":1000,"exported":0,"pending":1000}')
      }))

    test.concurrent('what a collector answers is heard: 413 halves, and rejections are counted', () =>
      run('many spans', {}, async (program) => {
        program.collector.script(answers(413), answers(200), rejects(7, 'too many'))
        expect((await program.ended()).end).toBe(3)
        expect(await program.said('ledger')).toBe('ledger {"ended":1000,"exported":993,"pending":0}')
        const counts = program.collector.requests.map(({ body }) => namesOf(body).length)
        expect(counts.slice(0, 3)).toEqual([100, 50, 50])
      }))

    test.concurrent('a batch on the wire goes again, since its answer would come too late', () =>
      run('a batch on the wire', {}, async (program) => {
        program.collector.script({ ...hangsAfterReading(), act: () => void program.child.kill('SIGUSR2') })
        const { end, names } = await program.ended()
        expect(end).toBe(3)
        expect(names).toEqual(['last', 'on the wire', 'on the wire'])
      }))

    test.concurrent('flushSync in a handler of its own needs no preparation', () =>
      run('a handler of its own, unprepared', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 3, names: ['last'] })
        expect(program.all('flushed')).toEqual(['flushed success 1 0'])
      }))

    test.concurrent('after flushSync the processor goes on', () =>
      run('a handler that goes on', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 0, names: ['afterwards', 'before'] })
        expect(program.all('flushed')).toEqual(['flushed success'])
      }))

    test.concurrent('it works in a worker thread, for its end', () =>
      run('a worker thread', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 0, names: ['of a thread'] })
        expect(program.all('thread ended')).toEqual(['thread ended 3'])
      }))

    test.concurrent('headers of a function are not there before the first request, and are used after it', async () => {
      await run('headers of a function', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 3, names: [] })
        expect(await program.said('warned tailrace: 1 spans are lost')).toBeTruthy()
      })
      await run('headers of a function, which are known', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 3, names: ['first', 'last'] })
        expect(program.collector.requests[1]!.headers).toMatchObject({ 'x-token': 'fresh' })
        expect(program.collector.requests[1]!.headers).not.toHaveProperty('content-encoding')
      })
    })

    test.concurrent('nothing is sent past a proxy', () =>
      run('process.exit', { env: { HTTP_PROXY: 'http://127.0.0.1:9' } }, async (program) => {
        expect(await program.ended()).toEqual({ end: 3, names: [] })
        expect(await program.said('warned tailrace: 1 spans are lost')).toBeTruthy()
      }))

    test.concurrent('of failover the next destination has what the first one does not take', () =>
      run('a destination that is down, and another', {}, async (program) => {
        const { end, names } = await program.ended()
        expect(end).toBe(3)
        expect(new Set(names).size).toBe(1000)
        expect(await program.said('ledger')).toBe('ledger {"ended":1000,"exported":1000,"pending":0}')
      }))

    test.concurrent('of fanOut the destinations without a spool have a helper thread ready, and only they', () =>
      withDirectory((directory) =>
        run('a spool and a destination without', { directory }, async (program) => {
          expect(await program.ended()).toEqual({ end: 3, names: ['last'] })
          expect(program.all('threads')).toEqual(['threads 0', 'threads 1'])
          expect(spansIn(directory)).toEqual(['last'])
          expect(await program.said('ledger')).toBe('ledger {"ended":2,"exported":1,"pending":0,"spooled":1}')
        }),
      ))

    test.concurrent('the disposer leaves no listener behind', () =>
      run('a disposer', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 3, names: [] })
        expect(await program.said('listeners')).toBe('listeners 1 0')
      }))
  })
}
