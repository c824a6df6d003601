/** What must hold when a process ends: run against real processes of any version of Node. */
import { execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as elapsed } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundleProgram } from './bundle.ts'
import { namesOf } from './gates.ts'
import { hangsAfterReading } from './misbehaviours.ts'
import { type Program, withProgram } from './program.ts'

/** Whether processes may have process ids of their own; where CI says so, they must. */
function canUnshare(): boolean {
  if (process.env.CI) return true
  try {
    execFileSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** Defines the tests for the Node at `nodePath`. */
export function describeEnding(nodePath: string, label: string): void {
  describe(`the end of a process, on ${label}`, { timeout: 60_000 }, () => {
    let bundle: string
    beforeAll(async () => {
      bundle = await bundleProgram('ending.ts')
    })

    interface Start {
      readonly options?: object
      readonly env?: NodeJS.ProcessEnv
      /** The command that runs `node` with these arguments. */
      readonly command?: (nodePath: string, args: string[]) => [string, string[], SpawnOptions?]
    }

    async function run<Result>(
      name: string,
      { options = {}, env, command = (node, args) => [node, args] }: Start,
      check: (program: Program) => Promise<Result>,
    ): Promise<Result> {
      return withProgram((collector) => {
        const [file, args, more] = command(nodePath, [bundle, name, collector.url, JSON.stringify(options)])
        return spawn(file, args, {
          env: { ...process.env, NODE_V8_COVERAGE: '', NODE_OPTIONS: '', ...env },
          stdio: ['ignore', 'pipe', 'pipe'],
          ...more,
        })
      }, check)
    }

    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      test.concurrent(`B53: ${signal} delivers what has ended, and then ends the process as if nobody had listened`, () =>
        run('alone', {}, async (program) => {
          await program.signal(signal)
          expect(await program.ended()).toEqual({ end: signal, names: ['before the signal'] })
          expect(program.all('done')).toEqual([`done ${signal} success`])
        }))
    }

    test.concurrent('B53: signals are those that were asked for, and no others', () =>
      run('alone', { options: { signals: ['SIGHUP', 'SIGUSR2'] } }, async (program) => {
        await program.signal('SIGHUP')
        expect(await program.ended()).toEqual({ end: 'SIGHUP', names: ['before the signal'] })
      }))

    test.concurrent('B53: a signal that was not asked for ends the process at once', () =>
      run('alone', { options: { signals: ['SIGHUP'] } }, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({ end: 'SIGTERM', names: [] })
      }))

    test.concurrent('B53: with a collector that hangs, the deadline holds, and the ledger says what was lost', () =>
      run('ledger when done', { options: { timeoutMillis: 500 } }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        await program.signal('SIGTERM')
        expect((await program.ended()).end).toBe('SIGTERM')
        expect(program.all('done')).toEqual(['done SIGTERM timeout'])
        expect(await program.said('ledger')).toBe('ledger {"ended":1,"exported":0,"lost":1,"pending":0}')
        const took = Number((await program.said('took')).slice('took '.length))
        expect(took).toBeGreaterThanOrEqual(495)
        expect(took).toBeLessThan(1500)
      }))

    for (const second of ['SIGTERM', 'SIGINT'] as const) {
      test.concurrent(`B53: a second signal, ${second} after SIGTERM, ends the process at once`, () =>
        run('alone', { options: { timeoutMillis: 30_000 } }, async (program) => {
          program.collector.otherwise(hangsAfterReading())
          await program.signal('SIGTERM')
          await program.collector.whenRequests(1)
          if (second === 'SIGTERM') await elapsed(300) // Sooner, it would be an echo.
          const sentAt = performance.now()
          program.child.kill(second)
          expect((await program.ended()).end).toBe(second)
          expect(performance.now() - sentAt).toBeLessThan(5000)
          expect(program.all('done')).toEqual([])
        }))
    }

    test.concurrent('B53: the same signal from the terminal and from the parent, at the same time, is one signal', () =>
      run('with an echo', {}, async (program) => {
        await program.signal('SIGINT')
        expect(await program.ended()).toEqual({ end: 'SIGINT', names: ['before the signal'] })
        expect(program.all('done')).toEqual(['done SIGINT success'])
      }))

    /** Sends a request, signals while it is being answered, and gives what was answered. */
    async function signalDuringRequest(program: Program): Promise<string> {
      const port = (await program.said('ready')).slice('ready '.length)
      const sent = request({ port, host: '127.0.0.1', agent: false }).end()
      await program.said('request')
      program.child.kill('SIGTERM')
      const [response] = await once(sent, 'response')
      return (await response.setEncoding('utf8').toArray()).join('')
    }

    test.concurrent('B53: a server drains first, then the rest is flushed and all is shut down, and the exit code stays', () =>
      run('with a server that drains', {}, async (program) => {
        expect(await signalDuringRequest(program)).toBe('ok')
        expect(await program.ended()).toEqual({ end: 7, names: ['before the signal', 'while draining'] })
        // What had ended at the signal did not wait for the drain.
        expect(program.collector.requests.map(({ body }) => namesOf(body))).toEqual([
          ['before the signal'],
          ['while draining'],
        ])
        expect(program.lines.slice(1, 4)).toEqual(['request', 'drained', 'done SIGTERM success'])
      }))

    test.concurrent('B53: a server that drains and then calls process.exit() does so after the shutdown, with its code', () =>
      run('with a server that drains and exits', {}, async (program) => {
        expect(await signalDuringRequest(program)).toBe('ok')
        expect(await program.ended()).toEqual({ end: 3, names: ['before the signal', 'while draining'] })
        expect(program.lines.slice(1, 4)).toEqual(['request', 'drained', 'done SIGTERM success'])
      }))

    test.concurrent('B53: a listener that calls process.exit() at once loses no span, and keeps its code', () =>
      run('with a listener that exits at once', {}, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({ end: 4, names: ['before the signal'] })
      }))

    test.concurrent('B53: process.exit() waits no longer than the deadline', () =>
      run('with a listener that exits at once', { options: { timeoutMillis: 500 } }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        await program.signal('SIGTERM')
        const signalledAt = performance.now()
        expect((await program.ended()).end).toBe(4)
        expect(performance.now() - signalledAt).toBeLessThan(5000)
        expect(program.all('done')).toEqual(['done SIGTERM timeout'])
      }))

    test.concurrent('B53: a second signal lets a process.exit() that waits go on at once', () =>
      run('with a listener that exits at once', { options: { timeoutMillis: 30_000 } }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        await program.signal('SIGTERM')
        await program.collector.whenRequests(1)
        program.child.kill('SIGINT')
        expect((await program.ended()).end).toBe(4)
        expect(program.all('done')).toEqual([])
      }))

    test.concurrent('B53: process.exit() meanwhile keeps its code where nobody else listens for the signal', () =>
      run('with an exit in a sole shutdown', {}, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({ end: 6, names: ['before the signal'] })
      }))

    test.concurrent('B53: a process whose other listeners go on is not ended, and goes on being traced', () =>
      run('with a listener that does nothing', {}, async (program) => {
        await program.signal('SIGTERM')
        await program.said('goes on')
        expect(program.names).toEqual(['after the signal', 'before the signal'])
        expect(program.all('done')).toEqual([])
        program.child.kill('SIGKILL')
        expect((await program.ended()).end).toBe('SIGKILL')
      }))

    test.concurrent('B53: several processors and providers, in one call and in two, are all delivered', () =>
      run('with several of everything', {}, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({
          end: 'SIGTERM',
          names: ['of a processor', 'of a provider', 'of a stock provider', 'of another call'],
        })
        expect(program.all('done')).toEqual(['done SIGTERM success', 'done SIGTERM success'])
      }))

    test.concurrent('B53: a provider that hangs holds up nothing beyond the deadline, not even by its timers', () =>
      run('with a provider that hangs', { options: { timeoutMillis: 300 } }, async (program) => {
        await program.signal('SIGTERM')
        const signalledAt = performance.now()
        expect((await program.ended()).end).toBe(0)
        expect(performance.now() - signalledAt).toBeLessThan(10_000)
        expect(program.all('done')).toEqual(['done SIGTERM timeout'])
      }))

    test.concurrent('B60: an onDone that throws changes nothing, and is told of once', () =>
      run('with a callback that throws', {}, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({ end: 'SIGTERM', names: ['before the signal'] })
        expect(program.all('thrown')).toEqual(['thrown'])
        expect(program.all('warned')).toEqual(['warned tailrace: onDone failed: a callback threw'])
      }))

    test.concurrent('B53: the disposer leaves no listener behind', () =>
      run('disposed', {}, async (program) => {
        await program.signal('SIGTERM')
        expect(await program.ended()).toEqual({ end: 'SIGTERM', names: [] })
        expect(await program.said('listeners')).toBe('listeners 0')
        expect(await program.said('symbol')).toMatch(/^symbol (true of true|false of false)$/)
      }))

    test.concurrent('B53: worker threads shut down with the main thread, unseen by their message listeners', () =>
      run('worker threads', {}, async (program) => {
        await program.signal('SIGTERM')
        const { end, names } = await program.ended()
        expect(end).toBe('SIGTERM')
        expect(names).toEqual(['of the main thread', 'of thread 1', 'of thread 2'])
        expect(program.all('thread done')).toEqual(['thread done success', 'thread done success'])
        expect(program.all('done')).toEqual(['done SIGTERM success'])
        expect(program.all('message')).toEqual(Array(3).fill('message listening'))
      }))

    test.concurrent('B53: the primary of a cluster passes the signal on, and waits for its workers', () =>
      run('a cluster', {}, async (program) => {
        await program.signal('SIGTERM')
        const { end, names } = await program.ended()
        expect(end).toBe('SIGTERM')
        expect(names).toEqual(['of the primary', 'of worker 1', 'of worker 2'])
        expect(program.all('done')).toEqual(Array(3).fill('done SIGTERM success'))
      }))

    test.concurrent('B53: workers of a cluster whose primary was killed deliver what they have', () =>
      run('a cluster', {}, async (program) => {
        await program.signal('SIGKILL')
        expect(await program.ended()).toEqual({ end: 'SIGKILL', names: ['of worker 1', 'of worker 2'] })
        expect(program.all('done')).toEqual(Array(2).fill('done undefined success'))
      }))

    test.concurrent('B53: a shell sees 128 + n', () =>
      run(
        'alone',
        {
          command: (node, args) => [
            'sh',
            ['-c', `"$0" "$@" & echo "pid $!"; wait $!; echo "code $?"`, node, ...args],
          ],
        },
        async (program) => {
          await program.said('ready')
          process.kill(Number((await program.said('pid')).slice('pid '.length)), 'SIGTERM')
          expect(await program.said('code')).toBe('code 143')
          expect((await program.ended()).names).toEqual(['before the signal'])
        },
      ))

    for (const [what, exec, signal] of [
      // Without `exec`, npm's shell dies of the signal and keeps it from node.
      ['npm, as by docker stop', 'exec', 'SIGTERM'],
      ['npm and all below it, as by Ctrl-C', '', 'SIGINT'],
    ] as const) {
      test.concurrent(`B53: started by npm start, a signal to ${what}, delivers`, async () => {
        const folder = mkdtempSync(join(tmpdir(), 'tailrace-npm-'))
        const npm = join(dirname(process.execPath), 'npm')
        try {
          await run(
            'ledger when done',
            {
              command: (node, args) => {
                const start = `${exec} ${[node, ...args].map((word) => `'${word}'`).join(' ')}`
                writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts: { start } }))
                return [npm, ['start'], { cwd: folder, detached: true }]
              },
            },
            async (program) => {
              await program.said('ready')
              if (exec) program.child.kill(signal)
              else process.kill(-program.child.pid!, signal)
              const { end, names } = await program.ended()
              expect(names).toEqual(['before the signal'])
              expect(program.all('done')).toEqual([`done ${signal} success`])
              expect(end).toBe(signal)
            },
          )
        } finally {
          rmSync(folder, { recursive: true })
        }
      })
    }

    const processOne = canUnshare() ? test.concurrent : test.skip
    processOne(
      'B53: process 1 of a container, which no signal can kill, exits with 128 + n (skipped where `unshare --pid` is not allowed)',
      () =>
        run(
          'ledger when done',
          {
            command: (node, args) => [
              'unshare',
              ['--pid', '--fork', '--kill-child', '--mount-proc', node, ...args],
            ],
          },
          async (program) => {
            await program.said('ready')
            const { pid } = program.child
            const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
            expect(readFileSync(`/proc/${child}/status`, 'utf8')).toMatch(/^NSpid:\t\d+\t1$/m)
            process.kill(Number(child), 'SIGTERM')
            expect(await program.ended()).toEqual({ end: 143, names: ['before the signal'] })
          },
        ),
    )

    test.concurrent('B53: a script that just ends is flushed once, however often beforeExit comes, and keeps its code', () =>
      run('a script', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 5, names: ['of a script'] })
        expect(program.lines).toEqual(['flush', expect.stringMatching(/^rounds [4-9]$/)])
      }))

    test.concurrent('B53: a script whose collector hangs ends within the deadline', () =>
      run('a script', { options: { timeoutMillis: 300 } }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        await program.said('flush')
        const sentAt = performance.now()
        expect((await program.ended()).end).toBe(5)
        expect(performance.now() - sentAt).toBeLessThan(5000)
      }))

    test.concurrent('B53: a script whose provider hangs ends within the deadline, in spite of its timers', () =>
      run('a script with a provider that hangs', { options: { timeoutMillis: 300 } }, async (program) => {
        const startedAt = performance.now()
        expect((await program.ended()).end).toBe(5)
        expect(performance.now() - startedAt).toBeLessThan(20_000)
      }))

    test.concurrent('B50: inside a Lambda runtime, flushBeforeExit does nothing', () =>
      run('a script', { env: { AWS_LAMBDA_RUNTIME_API: '127.0.0.1:9001' } }, async (program) => {
        expect(await program.ended()).toEqual({ end: 5, names: [] })
        expect(program.all('flush')).toEqual([])
      }))

    test.concurrent('B53: flushBeforeExit works in a worker thread', () =>
      run('a script in a worker thread', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 0, names: ['of a thread'] })
      }))

    test.concurrent('B53: flushBeforeExit does nothing once it is disposed of', () =>
      run('a script that does not want it', {}, async (program) => {
        expect(await program.ended()).toEqual({ end: 0, names: [] })
      }))
  })
}
