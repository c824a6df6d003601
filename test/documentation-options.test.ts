/** The tables of the guides name the options, the reasons and the fields that there are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BatchSpanProcessor, InMemorySpanExporter } from 'tailrace'
import { describe, expect, it } from 'vitest'
import { root } from './helpers/code-blocks.ts'
import { compileBlocks } from './helpers/compile-blocks.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** The text under a heading, as far as the next one of its level. */
function section(path: string, heading: string): string {
  const [, after] = read(path).split(`\n${heading}\n`)
  if (after === undefined) throw new Error(`${path} has no ${heading}`)
  return after.split(`\n${heading.split(' ')[0]} `)[0]!
}

/** The cells of the tables in a text, without heads. */
function rows(text: string): string[][] {
  const cells = (line: string) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim())
  const lines = text.split('\n').filter((line) => line.startsWith('|'))
  return lines
    .filter((line, i) => !/^[|\s:-]+$/.test(line) && !/^[|\s:-]+$/.test(lines[i + 1] ?? ''))
    .map(cells)
}

/** What stands between backticks. */
const codes = (cell = '') => Array.from(cell.matchAll(/`([^`]+)`/g), ([, code]) => code!)

describe('the options', () => {
  it.each([
    { heading: '## BatchSpanProcessor', type: 'BatchSpanProcessorOptions' },
    { heading: '## OTLPTraceExporter', type: 'OTLPTraceExporterOptions' },
  ])('of README are those of $type, all of them', ({ heading, type }) => {
    const listed = rows(section('README.md', heading)).flatMap(([first]) => codes(first))
    const properties = rows(section('API.md', `#### ${type}`))
      .map(([first]) => /`(\w+)\?`/.exec(first ?? '')?.[1])
      .filter((name) => name !== undefined)
    expect(listed.length).toBeGreaterThan(8)
    expect(listed.toSorted()).toEqual(properties.toSorted())
  })

  const settings = rows(section('MIGRATING.md', '## Which settings for which load'))
    .flatMap(([, set]) => codes(set))
    .filter((code) => code.includes(':'))
  const migrated = rows(section('MIGRATING.md', '## From another batching client')).flatMap(([, here]) =>
    codes(here),
  )
  const names = migrated.flatMap((code) => /^[a-z]\w+(?=$|: )/.exec(code)?.[0] ?? [])
  const blocks = [
    ...settings.map((code) => ({ place: code, code: `{ ${code} }` })),
    ...names.map((code) => ({ place: code, code: `{} as { ${code}: never }` })),
  ].map(({ place, code }) => ({
    place,
    language: 'ts',
    code: `
      import type { BatchSpanProcessorOptions, FlushOptions, OTLPTraceExporterOptions } from 'tailrace'
      export const options: BatchSpanProcessorOptions & OTLPTraceExporterOptions & FlushOptions = ${code}`,
  }))
  const compiled = compileBlocks(blocks)

  it('that MIGRATING sets and names are many', () => {
    expect(settings.length).toBeGreaterThan(10)
    expect(names.length).toBeGreaterThan(10)
  })

  it.each([...compiled.keys()])('that MIGRATING sets or names are there: %s', (place) => {
    expect(compiled.get(place)).toEqual({ complaints: [], missing: [] })
  })
})

describe('the ledger', () => {
  const { dropped, ...fields } = new BatchSpanProcessor(new InMemorySpanExporter()).stats()

  it.each(Object.keys(dropped))(
    'has `%s` as a reason, in the triage and in the table of failures',
    (reason) => {
      expect(codes(rows(read('TROUBLESHOOTING.md')).flat().join())).toContain(`dropped.${reason}`)
      expect(codes(section('README.md', '## What happens when something fails'))).toContain(
        `dropped.${reason}`,
      )
    },
  )

  it.each(['ended', 'openSpans', 'pending', 'inFlight', 'failed', 'rejected', 'exported', 'spooled'])(
    'has `%s`, which the triage starts from',
    (field) => {
      expect(rows(read('TROUBLESHOOTING.md')).some(([see]) => codes(see).includes(field))).toBe(true)
      expect([...Object.keys(fields), 'spooled']).toContain(field)
    },
  )
})
