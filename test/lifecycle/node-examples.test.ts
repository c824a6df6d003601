/** The programs that the README prints for Node, as their users run them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as elapsed } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { namesOf } from '../helpers/gates.ts'
import { answers } from '../helpers/misbehaving-collector.ts'
import { type Program, withProgram } from '../helpers/program.ts'
import { isInReadme } from '../helpers/readme.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

async function run<Result>(
  file: string,
  args: string[],
  check: (program: Program) => Promise<Result>,
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  return withProgram((collector) => {
    return spawn(process.execPath, ['--import', 'tsx', `test/examples/node/${file}`, ...args], {
      cwd: root,
      env: {
        ...process.env,
        TSX_TSCONFIG_PATH: `${root}tsconfig.json`,
        OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }, check)
}

/** Whether somebody listens there. */
async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

describe('the examples of the README', { timeout: 60_000 }, () => {
  test.each(['server.ts', 'script.ts', 'command-line.ts', 'exit.ts', 'spool.ts'])(
    '%s is printed there',
    (file) => {
      expect(isInReadme(`node/${file}`)).toBe(true)
    },
  )

  test.concurrent('B53: server.ts answers what it has begun, delivers its span, and ends by itself', async () => {
    const unused = createServer().listen(0, '127.0.0.1')
    await once(unused, 'listening')
    const { port } = unused.address() as AddressInfo
    unused.close()
    await run(
      'server.ts',
      [],
      async (program) => {
        while (!(await accepts(port))) await elapsed(20)
        const answer = fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
        // It answers after half a second, so by then it has begun to.
        await elapsed(250)
        program.child.kill('SIGTERM')
        expect(await (await answer).text()).toBe('hello')
        expect(await program.ended()).toEqual({ end: 0, names: ['say hello'] })
      },
      { PORT: String(port) },
    )
  })

  test.concurrent.each([
    { file: 'script.ts', args: [], end: 0, name: 'import orders' },
    { file: 'script.ts', args: ['--fail'], end: 1, name: 'import orders' },
    { file: 'command-line.ts', args: [], end: 0, name: 'check orders' },
    { file: 'command-line.ts', args: ['--fail'], end: 1, name: 'check orders' },
    { file: 'exit.ts', args: [], end: 3, name: 'import orders' },
    { file: 'exit.ts', args: ['--fail'], end: 1, name: 'import orders' },
  ])('$file $args delivers, and ends with $end', ({ file, args, end, name }) =>
    run(file, args, async (program) => {
      expect(await program.ended()).toEqual({ end, names: [name] })
    }),
  )

  test.concurrent('exit.ts --fail says what it has to say', () =>
    run('exit.ts', ['--fail'], async (program) => {
      await program.ended()
      expect(program.lines).toContain('Error: there are no orders')
    }))

  test('spool.ts delivers, and keeps its span on disk while the collector is away', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tailrace-example-'))
    try {
      await run(
        'spool.ts',
        [],
        async (program) => {
          program.collector.otherwise(answers(503))
          expect((await program.ended()).end).toBe(0)
          expect(program.lines).toContain('failure { exported: 0, spooled: 1 }')
          const [file, ...others] = readdirSync(directory)
          expect(others).toEqual([])
          expect(namesOf(readFileSync(join(directory, file!)))).toEqual(['pay order'])
        },
        { SPOOL: directory },
      )
      await run(
        'spool.ts',
        [],
        async (program) => {
          expect(await program.said('success')).toBe('success { exported: 1, spooled: 0 }')
          await program.ended()
        },
        { SPOOL: directory },
      )
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
