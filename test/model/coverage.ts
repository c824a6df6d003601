/** Which pairs of outcome and command a run has covered: the command came when that was the last outcome. */

/** What there is to cover. */
export interface CoveragePlan {
  /** By who is sent through. */
  readonly outcomes: Readonly<Record<string, readonly string[]>>
  readonly commands: readonly string[]
  readonly isPossible?: (outcome: string, command: string) => boolean
}

export class Coverage {
  readonly lengths: number[] = []
  readonly #plan: CoveragePlan
  readonly #counts = new Map<string, number>()

  constructor(plan: CoveragePlan) {
    this.#plan = plan
  }

  note(sender: string, outcome: string, command: string): void {
    const key = keyOf(sender, outcome, command)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  get medianLength(): number {
    return [...this.lengths].sort((a, b) => a - b)[this.lengths.length >> 1] ?? 0
  }

  /** The pairs that were possible and did not occur. */
  get missing(): string[] {
    const missing: string[] = []
    for (const [sender, outcomes] of Object.entries(this.#plan.outcomes)) {
      for (const outcome of outcomes) {
        for (const command of this.#plan.commands) {
          const key = keyOf(sender, outcome, command)
          if (this.#isPossible(outcome, command) && !this.#counts.has(key)) missing.push(key)
        }
      }
    }
    return missing
  }

  /** One line an outcome, one column a command. */
  toString(): string {
    const { commands, outcomes } = this.#plan
    const lines = [`${this.lengths.length} sequences, median length ${this.medianLength} commands`]
    for (const [sender, ofSender] of Object.entries(outcomes)) {
      const columns = commands.map((command) => initials(command).padStart(7)).join('')
      lines.push('', `${sender.padEnd(18)}${columns}`)
      for (const outcome of ofSender) {
        const cells = commands.map((command) => {
          if (!this.#isPossible(outcome, command)) return '–'
          return String(this.#counts.get(keyOf(sender, outcome, command)) ?? 0)
        })
        lines.push(`${outcome.padEnd(18)}${cells.map((cell) => cell.padStart(7)).join('')}`)
      }
    }
    lines.push('', commands.map((command) => `${initials(command)} ${command}`).join(', '))
    return lines.join('\n')
  }

  #isPossible(outcome: string, command: string): boolean {
    return this.#plan.isPossible?.(outcome, command) ?? true
  }
}

function keyOf(sender: string, outcome: string, command: string): string {
  return `${sender}: ${command} after "${outcome}"`
}

function initials(command: string): string {
  return command
    .split(' ')
    .map((word) => word.slice(0, 2))
    .join('')
}
