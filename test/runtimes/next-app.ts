/**
 * The Next.js app of test/examples/next and test/programs/next, built and started as a user does it, with the package as
 * it is built.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixture = `${root}test/runtimes/fixtures/next`
const app = `${fixture}/dist`
const BUILD_TIMEOUT_MILLIS = 480_000

/** A server that is running. */
export interface NextServer {
  readonly url: string
  readonly process: ChildProcess
  /** What it has printed. */
  readonly output: string
  /** Sends SIGTERM and waits for the end: the exit code, or the signal's name. */
  terminate(): Promise<number | string>
}

/**
 * Puts the app together and builds it.
 * @returns What `next build` printed.
 * @throws Error with what it printed, if it fails.
 */
export async function buildApp(env: NodeJS.ProcessEnv): Promise<string> {
  const installed = `${fixture}/node_modules/tailrace`
  for (const folder of [installed, app]) rmSync(folder, { recursive: true, force: true })
  mkdirSync(installed)
  for (const part of ['package.json', 'dist']) {
    cpSync(`${root}${part}`, `${installed}/${part}`, { recursive: true })
  }
  for (const part of ['programs', 'examples']) cpSync(`${root}test/${part}/next`, app, { recursive: true })
  const child = next(['build'], env, BUILD_TIMEOUT_MILLIS)
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout!),
    text(child.stderr!),
  ])
  if (code !== 0) throw new Error(`next build ended with ${code}:\n${stdout}${stderr}`)
  return stdout + stderr
}

/** Starts the app that was built, on a free port. */
export async function startApp(env: NodeJS.ProcessEnv): Promise<NextServer> {
  const child = next(['start', '--port', '0', '--hostname', '127.0.0.1'], env)
  const exited = once(child, 'exit')
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
        const [, address] = /Local: +(http:\S+)[\s\S]*Ready/.exec(output) ?? []
        if (address !== undefined) resolve(address)
      })
    }
    exited.then(() => reject(new Error(`next start ended:\n${output}`)), reject)
  })
  return {
    url,
    process: child,
    get output() {
      return output
    },
    async terminate() {
      child.kill('SIGTERM')
      const [code, signal] = await exited
      return code ?? signal
    },
  }
}

/** Not through npm or npx: a signal has to reach Next.js itself. */
function next(args: string[], env: NodeJS.ProcessEnv, timeout?: number): ChildProcess {
  return spawn(process.execPath, [`${fixture}/node_modules/next/dist/bin/next`, ...args], {
    cwd: app,
    // Vitest's own NODE_ENV is not for Next.js.
    env: { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(timeout === undefined ? {} : { timeout, killSignal: 'SIGKILL' as const }),
  })
}
