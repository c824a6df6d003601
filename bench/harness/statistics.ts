function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const position = (sorted.length - 1) * part
  const below = Math.floor(position)
  const low = sorted[below] as number
  const high = sorted[Math.ceil(position)] as number
  return low + (high - low) * (position - below)
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Three significant digits, or all of those before the point. */
export function rounded(value: number): string {
  const size = Math.abs(value)
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)
}

/** The median with the smallest and the largest. */
export function spread(values: readonly number[]): string {
  if (values.length === 1) return rounded(values[0] as number)
  return `${rounded(median(values))} (${rounded(Math.min(...values))}–${rounded(Math.max(...values))})`
}
