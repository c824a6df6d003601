/** What is left of traces when more spans end than the backend takes: `dropPolicy: 'oldest-trace'` beside `'oldest'`. */
import { afterAll, describe, expect, it } from 'vitest'
import { overload, type Survival } from './overload.ts'

const SPANS = 40_000
const rows: string[] = []

const percent = (fraction: number) => `${Math.round(fraction * 100)} %`
const row = (factor: number, concurrent: number, dropPolicy: string, survival: Survival) =>
  [
    `${factor}×`,
    concurrent,
    `\`${dropPolicy}\``,
    percent(survival.wholeTraces),
    percent(survival.inWholeTraces),
    percent(survival.roots),
    percent(survival.errors),
    `${survival.microsPerSpan.toFixed(1)} µs`,
  ].join(' | ')

describe.each([2, 5, 10])('under %i times what the backend takes', (factor) => {
  it.each([20, 100, 400])(
    "with %i requests at a time 'oldest-trace' saves more whole traces",
    async (concurrent) => {
      const load = { factor, concurrent, spans: SPANS }
      const oldest = await overload({ ...load, dropPolicy: 'oldest' })
      const byTrace = await overload({ ...load, dropPolicy: 'oldest-trace' })
      rows.push(row(factor, concurrent, 'oldest', oldest), row(factor, concurrent, 'oldest-trace', byTrace))

      // As many as the backend has room for, and nearly all of what it takes is of use.
      expect(byTrace.wholeTraces).toBeGreaterThan(0.85 / factor)
      expect(byTrace.wholeTraces).toBeGreaterThan(1.15 * oldest.wholeTraces)
      expect(byTrace.inWholeTraces).toBeGreaterThan(1.05 * oldest.inWholeTraces)
      expect(byTrace.roots).toBeGreaterThan(oldest.roots)
      expect(byTrace.errors).toBeGreaterThan(oldest.errors)
    },
  )
})

afterAll(() => {
  const heading =
    'load | requests at a time | `dropPolicy` | traces that arrive whole | spans of these among those that arrive | roots | errors | CPU a span'
  const line = heading.replace(/[^|]+/g, '---')
  console.log([heading, line, ...rows].map((each) => `| ${each} |`).join('\n'))
})
