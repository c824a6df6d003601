/** Starts the processes that measure, and the receiver beside them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Sample, Settings } from './question.ts'

/** A process that has said nothing for so long is broken. */
const PATIENCE_MILLIS = 300_000

/** Ours, but for what configures OpenTelemetry, Node, or a proxy. */
export const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(OTEL_.*|NODE_OPTIONS|.*_PROXY)$/i.test(name)),
)

/** Runs a program to its end and reads the sample that it prints. */
async function runProgram(node: string, nodeOptions: string[], args: string[]): Promise<Sample> {
  const child = spawn(node, [...nodeOptions, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: PATIENCE_MILLIS,
    killSignal: 'SIGKILL',
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${signal ?? `exit code ${code}`}`)
  return JSON.parse(output)
}

/** Runs a variant of a program that `answer`s. */
export function runVariant(
  node: string,
  nodeOptions: string[],
  program: string,
  variant: string,
  settings: Settings,
): Promise<Sample> {
  return runProgram(node, nodeOptions, [program, JSON.stringify({ variant, settings })])
}

/** The receiver, running. */
export interface Receiver {
  readonly url: string
  /** Spans that have come since it was last asked. */
  takeCount(): Promise<number>
  stop(): void
}

export async function startReceiver(mode: 'decode' | 'count'): Promise<Receiver> {
  const file = fileURLToPath(new URL('receiver.ts', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [...process.execArgv, file, mode], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const [url] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  let taken = 0
  return {
    url,
    async takeCount() {
      const { spans } = (await (await fetch(url)).json()) as { spans: number }
      const count = spans - taken
      taken = spans
      return count
    },
    stop: () => void child.disconnect(),
  }
}
