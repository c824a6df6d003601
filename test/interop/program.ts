/** Somebody else's server as a child process on loopback. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const START_MILLIS = 30_000
const STOP_MILLIS = 15_000

/** A server that runs. */
export interface Program {
  readonly pid: number
  /** Everything that it has printed. */
  log(): string
  /** Ends it in order, and waits for that. Answers its exit code, or the signal's name. */
  stop(): Promise<number | NodeJS.Signals>
}

/**
 * Starts a server, and waits until it says that it is ready.
 * @param ready - A text in its output.
 */
export async function startProgram(binary: string, args: string[], ready: string): Promise<Program> {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  const ended = once(child, 'close').then(([code, signal]) => {
    process.off('exit', kill)
    return (code ?? signal) as number | NodeJS.Signals
  })
  let output = ''
  const isReady = new Promise<'ready'>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes(ready)) resolve('ready')
      })
    }
  })
  const patience = setTimeout(kill, START_MILLIS)
  const first = await Promise.race([isReady, ended])
  clearTimeout(patience)
  if (first !== 'ready') throw new Error(`${binary} ended with ${first} before it was ready:\n${output}`)
  return {
    pid: child.pid!,
    log: () => output,
    async stop() {
      const lastResort = setTimeout(kill, STOP_MILLIS)
      child.kill('SIGTERM')
      const end = await ended
      clearTimeout(lastResort)
      return end
    },
  }
}
