/** What README prints for Bun and Deno, and what it says of `tailrace/node` there, with the package as it was installed. */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Program, withProgram } from '../helpers/program.ts'
import { isInReadme } from '../helpers/readme.ts'
import { projectFolder, root } from './consumers.ts'
import { COMMANDS } from './core/runtimes.ts'

const folder = projectFolder('runtimes')

/** Deno with no more permissions than README says. */
const commands = {
  Bun: COMMANDS.Bun,
  Deno: [COMMANDS.Deno[0], 'run', '--no-prompt', '--allow-net', '--allow-env'],
} as const

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Runs an example, copied to where the package is installed. */
async function run<Result>(
  runtime: keyof typeof commands,
  example: string,
  { args = [], env = {} }: { args?: string[]; env?: NodeJS.ProcessEnv },
  check: (program: Program) => Promise<Result>,
): Promise<Result> {
  mkdirSync(join(folder, 'examples/node'), { recursive: true })
  cpSync(join(root, 'test/examples', example), join(folder, 'examples', example))
  return withProgram((collector) => {
    const [program = '', ...before] = commands[runtime]
    return spawn(program, [...before, join(folder, 'examples', example), ...args], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }, check)
}

/** Asks until the server listens. */
async function get(url: string): Promise<string> {
  let answer = ''
  await expect
    .poll(async () => (answer = await fetch(url).then((response) => response.text())), { timeout: 20_000 })
    .not.toBe('')
  return answer
}

describe.each([
  { runtime: 'Bun', example: 'bun.ts' },
  { runtime: 'Deno', example: 'deno.ts' },
] as const)('the recipe for $runtime', ({ runtime, example }) => {
  test('is printed in README', () => {
    expect(isInReadme(example)).toBe(true)
  })

  // A signal that a process sends itself may come after `process.exit` there.
  test.each([
    { signal: 'SIGTERM', ends: runtime === 'Bun' ? ['SIGTERM', 143, 0] : ['SIGTERM', 143] },
    { signal: 'SIGINT', ends: ['SIGINT', 130] },
  ] as const)(
    'B53: delivers on $signal what the server has answered, and ends by it',
    async ({ signal, ends }) => {
      const port = await freePort()
      await run(runtime, example, { env: { PORT: String(port) } }, async (program) => {
        expect(await get(`http://127.0.0.1:${port}/`)).toBe('hello')
        program.child.kill(signal)
        const { end, names } = await program.ended()
        expect(names).toEqual(['GET /'])
        expect(ends).toContain(end)
      })
    },
  )
})

describe.each(['Bun', 'Deno'] as const)('the recipes for Node, on %s', (runtime) => {
  test.each([
    { example: 'script.ts', args: [], end: 0, names: ['import orders'] },
    { example: 'script.ts', args: ['--fail'], end: 1, names: ['import orders'] },
    { example: 'command-line.ts', args: [], end: 0, names: ['check orders'] },
    { example: 'command-line.ts', args: ['--fail'], end: 1, names: ['check orders'] },
    { example: 'exit.ts', args: [], end: 3, names: ['import orders'] },
    // Deno emits no `exit` after an uncaught exception.
    { example: 'exit.ts', args: ['--fail'], end: 1, names: runtime === 'Deno' ? [] : ['import orders'] },
  ])('$example $args: delivers $names, and ends with $end', async ({ example, args, end, names }) => {
    await run(runtime, `node/${example}`, { args }, async (program) => {
      expect(await program.ended()).toEqual({ end, names })
    })
  })
})
