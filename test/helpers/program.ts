/** A program in a process of its own, in front of a collector, and what can be seen of both. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { namesOf } from './gates.ts'
import { type Collector, startCollector } from './misbehaving-collector.ts'

/** How a process ended: the code, or the signal. */
type End = number | NodeJS.Signals

/** A program that runs. */
export class Program {
  readonly collector: Collector
  readonly child: ChildProcess
  /** What it printed so far. */
  readonly lines: string[] = []
  readonly #end: Promise<End>
  readonly #waiting = new Set<() => void>()

  constructor(collector: Collector, child: ChildProcess) {
    this.collector = collector
    this.child = child
    this.#end = once(child, 'close').then(([code, signal]) => code ?? signal)
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line)
        for (const check of this.#waiting) check()
      })
    }
  }

  /** Settles with the first line that begins so; rejects if the process ends without it. */
  async said(beginning: string): Promise<string> {
    const line = () => this.lines.find((text) => text.startsWith(beginning))
    const found = new Promise<void>((resolve) => {
      const check = () => {
        if (line() !== undefined) resolve()
      }
      this.#waiting.add(check)
      check()
    })
    await Promise.race([found, this.#end])
    if (line() === undefined) throw new Error(`it never said ${beginning}: ${this.lines.join('\n')}`)
    return line()!
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    await this.said('ready')
    this.child.kill(signal)
  }

  async ended(): Promise<{ end: End; names: string[] }> {
    const end = await this.#end
    return { end, names: this.names }
  }

  /** Of the spans that arrived. */
  get names(): string[] {
    return this.collector.requests.flatMap(({ body }) => namesOf(body)).sort()
  }

  /** What it said with that beginning. */
  all(beginning: string): string[] {
    return this.lines.filter((line) => line.startsWith(beginning))
  }
}

/** Starts a program in front of a collector, and ends both when the check is over. */
export async function withProgram<Result>(
  start: (collector: Collector) => ChildProcess,
  check: (program: Program) => Promise<Result>,
): Promise<Result> {
  const collector = await startCollector()
  const child = start(collector)
  try {
    return await check(new Program(collector, child))
  } finally {
    child.kill('SIGKILL')
    await collector.stop()
  }
}
