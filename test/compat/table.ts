/** What a run of test/compat has shown, and the table of README that says so. */
import { MarkedPart } from '../../bench/harness/marked.ts'

/** One SDK, runtime or bundler, in one way of using it. */
export interface Row {
  readonly kind: 'SDK' | 'runtime' | 'bundler'
  readonly name: string
  readonly how: string
  readonly passed: number
  readonly total: number
}

/** As much as is used of what Vitest's reporter writes. */
export interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly status: string
    }[]
  }[]
}

/** A suite's title: `<kind> <name>: <how>`. */
const TITLE = /^(?<kind>SDK|runtime|bundler) (?<name>.+?): (?<how>.+)$/

const KINDS: readonly Row['kind'][] = ['SDK', 'runtime', 'bundler']

/** Counts the tests of each suite, in the order of their names. */
export function rowsOf({ testResults }: Report): Row[] {
  const rows = new Map<string, { passed: number; total: number }>()
  for (const { ancestorTitles, status } of testResults.flatMap(({ assertionResults }) => assertionResults)) {
    const title = ancestorTitles[0] ?? ''
    if (!TITLE.test(title)) continue
    const row = rows.get(title) ?? { passed: 0, total: 0 }
    rows.set(title, { passed: row.passed + (status === 'passed' ? 1 : 0), total: row.total + 1 })
  }
  return [...rows]
    .map(([title, counts]) => ({ ...(TITLE.exec(title)!.groups as unknown as Row), ...counts }))
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || compareNames(a, b))
}

function compareNames(a: Row, b: Row): number {
  return a.name.localeCompare(b.name, 'en', { numeric: true }) || a.how.localeCompare(b.how, 'en')
}

/** The rows without what the machine decides: Debian's Chromium. */
export function withoutSystem(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, name: row.name.replace(/^Chromium .*/, 'Chromium') }))
}

/** The table: the ways of one name on one line. */
export function renderTable(rows: readonly Row[]): string {
  const lines = new Map<string, string[]>()
  for (const { kind, name, how, passed, total } of rows) {
    const label = kind === 'SDK' ? `SDK ${name}` : name
    lines.set(label, [...(lines.get(label) ?? []), `${how}: ${passed} of ${total}`])
  }
  return [
    '| with | how, and the checks that passed |',
    '|---|---|',
    ...Array.from(lines, ([label, ways]) => `| ${label} | ${ways.join('; ')} |`),
  ].join('\n')
}

/** README's table. */
export const readmeTable = new MarkedPart('npm run test:compat -- --table')
