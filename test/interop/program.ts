/** Somebody else's server as a child process on loopback. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const START_MILLIS = 30_000
const STOP_MILLIS = 15_000
/** How often it is asked to end. */
const ASK_MILLIS = 50
/**
 * Go's programs say that they are ready before they heed signals, and one that comes in between kills them with what they have
 * not written yet. SIGINT alone stays ignored for them, if it was so at their start, until they ask for it.
 */
const IGNORING_SIGINT = ['-c', 'trap "" INT; exec "$0" "$@"']

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
  const child = spawn('sh', [...IGNORING_SIGINT, binary, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
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
      const ask = (): void => void child.kill('SIGINT')
      ask()
      const asking = setInterval(ask, ASK_MILLIS)
      const end = await ended
      clearInterval(asking)
      clearTimeout(lastResort)
      return end
    },
  }
}
