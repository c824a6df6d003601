import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** How a script ended, and what it printed. */
export interface ScriptResult {
  readonly code: number | null
  readonly output: string
}

/** How to run a script. */
export interface ScriptOptions {
  readonly nodeOptions?: string[]
  /** When it is killed. Less than the test's own timeout, so that no process is left behind. Default 25,000. */
  readonly timeoutMillis?: number
}

/**
 * Runs an ES module, from source text, in a process of its own that understands TypeScript; imports are relative to
 * the root of the project. It is killed, with code null, if it does not end by itself.
 */
export async function runScript(
  source: string,
  { nodeOptions = [], timeoutMillis = 25_000 }: ScriptOptions = {},
): Promise<ScriptResult> {
  const child = spawn(
    process.execPath,
    [...nodeOptions, '--import', 'tsx', '--input-type=module', '--eval', source],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMillis, killSignal: 'SIGKILL' },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}
