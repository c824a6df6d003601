import { describe, expect, it } from 'vitest'
import type { Line } from '../../bench/harness/question.ts'
import { collapsed, table, verdict } from '../../bench/harness/report.ts'

function line(figures: number[], rest: Partial<Line> = {}): Line {
  return {
    label: 'realistic',
    unit: 'µs',
    samples: { stock: [8], tailrace: [2] },
    figures,
    figureUnit: '×',
    goal: { required: 6, aim: 9, sense: 'at least' },
    isRatioToStock: true,
    ...rest,
  }
}

function answer(...lines: Line[]) {
  return [{ question: { name: 'encode', title: 'encode', ask: async () => lines }, lines }]
}

describe('the guard of the benchmarks', () => {
  it('fails when every round is below half of what is required', () => {
    expect(collapsed(answer(line([2.9, 2.99, 1])))).toEqual([
      'encode: realistic: 2.90 (1.00–2.99)× is below half of 6× in every round',
    ])
  })

  it('passes when one round reaches half: the others may have been disturbed', () => {
    expect(collapsed(answer(line([1, 1, 3])))).toEqual([])
  })

  it('fails where nothing was measured', () => {
    expect(collapsed(answer(line([Number.NaN])))).toHaveLength(1)
  })

  it('leaves alone what has no goal, is no ratio to the stock SDK, or is to be small', () => {
    const { goal: _goal, ...withoutGoal } = line([1])
    const lines = [
      withoutGoal,
      line([1], { isRatioToStock: false }),
      line([1], { goal: { required: 6, sense: 'at most' } }),
    ]
    expect(collapsed(answer(...lines))).toEqual([])
  })
})

describe('the table of the benchmarks', () => {
  it('says of the median whether it is where it has to be', () => {
    expect([[5.9], [6, 6, 1], [9]].map((figures) => verdict(line(figures)))).toEqual(['below', 'ok', 'aim'])
    expect(verdict(line([12.1], { goal: { required: 12, aim: 10, sense: 'at most' } }))).toBe('below')
  })

  it('says what a figure would be at the floor, where there is one', () => {
    const [head, , floored, unfloored] = table(
      answer(line([5], { atFloor: [90, 100, 110] }), line([5])),
    ).split('\n')
    expect(head).toMatch(/at the floor +\|$/)
    expect(floored).toMatch(/\| 100 \(90.0–110\)× \|$/)
    expect(unfloored).toMatch(/\|\s+\|$/)
  })

  it('has a row for each line, with medians, spread and goals', () => {
    const [head, , row] = table(answer(line([5, 6, 7]))).split('\n')
    expect(head).toMatch(/question .* medians .* required .* aim/)
    expect(row).toMatch(
      /encode: realistic +\| stock 8.00, tailrace 2.00 µs +\| 6.00 \(5.00–7.00\)× +\| ≥ 6× +\| ≥ 9× +\| ok/,
    )
  })
})
