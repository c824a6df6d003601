/**
 * Processes that take turns. A machine that others use, too, changes its speed by half from one second to the next:
 * what is to be compared runs side by side, a fraction of a second each, and only neighbours are compared.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { environment } from './processes.ts'
import { type Line, ratioOf, type Settings, type StartTurns, type Turns } from './question.ts'
import { median } from './statistics.ts'

/** The measuring process: makes ready, then measures once for each line that it reads. */
export async function answerTurns(start: StartTurns, variant: string, settings: Settings): Promise<void> {
  const turn = await start(variant, settings)
  console.log('ready')
  for await (const _ of createInterface({ input: process.stdin })) console.log(await turn())
  process.exit()
}

/** A process that waits for its turn. */
class Contender {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor(node: string, args: string[]) {
    this.#child = spawn(node, args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')} ended`)
    return value
  }

  async turn(): Promise<number> {
    this.#child.stdin.write('\n')
    return Number(await this.line())
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill('SIGKILL')
    await closed
  }
}

/** Starts a process for each variant and lets them take turns, each time in the opposite order. */
export async function takeTurns(
  node: string,
  nodeOptions: string[],
  program: string,
  variants: readonly string[],
  settings: Settings,
  count: number,
): Promise<Turns> {
  const contenders = variants.map(
    (variant) => new Contender(node, [...nodeOptions, program, JSON.stringify({ variant, settings })]),
  )
  const turns: Record<string, number[]> = Object.fromEntries(variants.map((variant) => [variant, []]))
  try {
    await Promise.all(contenders.map((contender) => contender.line()))
    const order = variants.map((_, i) => i)
    for (let i = 0; i < count; i++) {
      for (const index of order) turns[variants[index]].push(await contenders[index].turn())
      order.reverse()
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()))
  }
  return turns
}

/** How many times less than the stock SDK tailrace takes, and the floor: in each round the median of what neighbours come to. */
export function turnsRatioLine(
  label: string,
  unit: string,
  rounds: readonly Turns[],
  goal: { required: number; aim?: number },
): Line {
  return {
    label,
    unit,
    samples: mediansOf(rounds, ['stock', 'tailrace', 'floor']),
    figures: rounds.map((turns) => ratioOf(turns, 'stock', 'tailrace')),
    atFloor: rounds.map((turns) => ratioOf(turns, 'stock', 'floor')),
    figureUnit: '×',
    goal: { ...goal, sense: 'at least' },
    isRatioToStock: true,
  }
}

/** By how much the slowest of several variants, which ought to be alike, is slower than the fastest. */
export function turnsFlatLine(label: string, rounds: readonly Turns[], variants: readonly string[]): Line {
  return {
    label,
    unit: 'µs',
    samples: mediansOf(rounds, variants),
    figures: rounds.map((turns) => {
      const ratios = variants.map((variant) => ratioOf(turns, variant, variants[0]))
      return (Math.max(...ratios) / Math.min(...ratios) - 1) * 100
    }),
    figureUnit: '%',
    goal: { required: 15, sense: 'at most' },
    isRatioToStock: false,
  }
}

export function mediansOf(rounds: readonly Turns[], variants: readonly string[]): Record<string, number[]> {
  return Object.fromEntries(
    variants.map((variant) => [variant, rounds.map((turns) => median(turns[variant] as number[]))]),
  )
}
