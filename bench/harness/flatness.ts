/** By how much the slowest of several variants, which ought to be alike, is slower than the fastest. */
import { column, type Line, type Round } from './question.ts'

export function flatLine(label: string, rounds: readonly Round[], variants: readonly string[]): Line {
  const samples = Object.fromEntries(variants.map((name) => [name, column(rounds, name, 'microsPerSpan')]))
  return {
    label,
    unit: 'µs',
    samples,
    figures: rounds.map((_, round) => {
      const values = variants.map((name) => samples[name]?.[round] as number)
      return (Math.max(...values) / Math.min(...values) - 1) * 100
    }),
    figureUnit: '%',
    goal: { required: 15, sense: 'at most' },
    isRatioToStock: false,
  }
}
