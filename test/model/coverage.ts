/** Which pairs of outcome and command a run has covered: the command came when that was the last outcome. */
import { ENCODING_OUTCOMES, STOCK_OUTCOMES } from './collector.ts'
import { COMMANDS, type CommandKind } from './commands.ts'
import type { Settings } from './settings.ts'
import type { SeenOutcome } from './system.ts'

const OUTCOMES: Record<Settings['exporter'], readonly SeenOutcome[]> = {
  encoding: ['nothing sent', ...ENCODING_OUTCOMES, 'timed out', 'left behind'],
  stock: ['nothing sent', ...STOCK_OUTCOMES, 'never called back'],
}

/** A request cannot be left behind before there was an outcome: the one that left it behind. */
function isPossible(outcome: SeenOutcome, command: CommandKind): boolean {
  return !(outcome === 'nothing sent' && command === 'answer late')
}

export class Coverage {
  readonly #counts = new Map<string, number>()
  readonly lengths: number[] = []

  note(exporter: Settings['exporter'], outcome: SeenOutcome, command: CommandKind): void {
    const key = keyOf(exporter, outcome, command)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  get medianLength(): number {
    return [...this.lengths].sort((a, b) => a - b)[this.lengths.length >> 1] ?? 0
  }

  /** The pairs that were possible and did not occur. */
  get missing(): string[] {
    const missing: string[] = []
    for (const exporter of ['encoding', 'stock'] as const) {
      for (const outcome of OUTCOMES[exporter]) {
        for (const command of COMMANDS) {
          const key = keyOf(exporter, outcome, command)
          if (isPossible(outcome, command) && !this.#counts.has(key)) missing.push(key)
        }
      }
    }
    return missing
  }

  /** One line an outcome, one column a command. */
  toString(): string {
    const lines = [`${this.lengths.length} sequences, median length ${this.medianLength} commands`]
    for (const exporter of ['encoding', 'stock'] as const) {
      const title = exporter === 'encoding' ? 'our exporters' : 'stock exporters'
      lines.push(
        '',
        `${title.padEnd(18)}${COMMANDS.map((command) => initials(command).padStart(7)).join('')}`,
      )
      for (const outcome of OUTCOMES[exporter]) {
        const cells = COMMANDS.map((command) => {
          if (!isPossible(outcome, command)) return '–'
          return String(this.#counts.get(keyOf(exporter, outcome, command)) ?? 0)
        })
        lines.push(`${outcome.padEnd(18)}${cells.map((cell) => cell.padStart(7)).join('')}`)
      }
    }
    lines.push('', COMMANDS.map((command) => `${initials(command)} ${command}`).join(', '))
    return lines.join('\n')
  }
}

function keyOf(exporter: string, outcome: string, command: string): string {
  return `${exporter}: ${command} after "${outcome}"`
}

function initials(command: string): string {
  return command
    .split(' ')
    .map((word) => word.slice(0, 2))
    .join('')
}
