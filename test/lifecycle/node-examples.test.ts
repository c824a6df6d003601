/** The programs that the README prints for Node, as their users run them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as elapsed } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { Program } from '../helpers/program.ts'
import { isInReadme } from '../helpers/readme.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

async function run<Result>(
  file: string,
  args: string[],
  check: (program: Program) => Promise<Result>,
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  const collector = await startCollector()
  const child = spawn(process.execPath, ['--import', 'tsx', `test/examples/node/${file}`, ...args], {
    cwd: root,
    env: {
      ...process.env,
      TSX_TSCONFIG_PATH: `${root}tsconfig.json`,
      OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  try {
    return await check(new Program(collector, child))
  } finally {
    child.kill('SIGKILL')
    await collector.stop()
  }
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
  test.each(['server.ts', 'script.ts', 'command-line.ts'])('%s is printed there', (file) => {
    expect(isInReadme(`node/${file}`)).toBe(true)
  })

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
  ])('$file $args delivers, and ends with $end', ({ file, args, end, name }) =>
    run(file, args, async (program) => {
      expect(await program.ended()).toEqual({ end, names: [name] })
    }),
  )
})
