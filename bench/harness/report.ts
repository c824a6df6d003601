/** Prints what was found. */
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import type { Fixture } from './fixture.ts'
import type { Line, Question } from './question.ts'
import { median, rounded, spread } from './statistics.ts'

export interface Answer {
  readonly question: Question
  readonly lines: readonly Line[]
}

/** The commit that is measured; nothing outside of a repository. What the bench itself writes does not count as a change. */
function revision(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    const changes = git('status', '--porcelain', '--', 'src', 'bench', ':!bench/chart.svg', 'package.json')
    return ` (${git('rev-parse', '--short', 'HEAD')}${changes ? ', changed' : ''})`
  } catch {
    return ''
  }
}

/** What was measured on, in one line each. */
export function circumstances({ nodeVersion, versions }: Fixture, rounds: number): string[] {
  const [first] = cpus()
  return [
    `Node ${nodeVersion}, ${process.platform} ${process.arch}, ${cpus().length} × ${first?.model.trim()}; ${rounds} rounds`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}${name === 'tailrace' ? revision() : ''}`)
      .join(', '),
  ]
}

/** Whether the figure is where it has to be, or where it is aimed at. */
export function verdict({ figures, goal }: Line): 'aim' | 'ok' | 'below' | '' {
  if (!goal) return ''
  const figure = median(figures)
  const reaches = (bound: number) => (goal.sense === 'at least' ? figure >= bound : figure <= bound)
  if (goal.aim !== undefined && reaches(goal.aim)) return 'aim'
  return reaches(goal.required) ? 'ok' : 'below'
}

/**
 * The lines of which no round came to half of what is required: noise makes rounds bad, but not all of them, so what is
 * left is a change that costs half of the speed.
 */
export function collapsed(answers: readonly Answer[]): string[] {
  return answers.flatMap(({ question, lines }) =>
    lines
      .filter(({ isRatioToStock, goal, figures }) => {
        if (!isRatioToStock || goal?.sense !== 'at least') return false
        return !figures.some((figure) => figure >= goal.required / 2)
      })
      .map(
        ({ label, figures, goal }) =>
          `${question.name}: ${label}: ${spread(figures)}× is below half of ${goal?.required}× in every round`,
      ),
  )
}

function bound(line: Line, value: number | undefined): string {
  if (value === undefined) return ''
  return `${line.goal?.sense === 'at least' ? '≥' : '≤'} ${value}${unitOf(line)}`
}

function unitOf({ figureUnit }: Line): string {
  return figureUnit === '×' ? '×' : ` ${figureUnit}`
}

function samplesOf({ samples, unit }: Line): string {
  return Object.entries(samples)
    .map(([variant, values]) => `${variant} ${rounded(median(values))}`)
    .join(', ')
    .concat(` ${unit}`)
}

/** The table, in Markdown. */
export function table(answers: readonly Answer[]): string {
  const rows = [['question', 'medians', 'figure (min–max)', 'required', 'aim', '', 'at the floor']]
  for (const { question, lines } of answers) {
    for (const line of lines) {
      rows.push([
        `${question.name}: ${line.label}`,
        samplesOf(line),
        `${spread(line.figures)}${unitOf(line)}`,
        bound(line, line.goal?.required),
        bound(line, line.goal?.aim),
        verdict(line),
        line.atFloor ? `${spread(line.atFloor)}${unitOf(line)}` : '',
      ])
    }
  }
  const widths = rows[0]!.map((_, i) => Math.max(3, ...rows.map((row) => row[i]!.length)))
  const print = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const [head, ...body] = rows.map(print)
  return [head, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body].join('\n')
}
