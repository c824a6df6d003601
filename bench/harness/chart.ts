/** Draws how many times better than the stock SDK each line is, as an SVG. */
import type { Answer } from './report.ts'
import { median } from './statistics.ts'

const WIDTH = 860
const LABEL_WIDTH = 380
const BAR_HEIGHT = 16
const ROW_HEIGHT = 26
const TOP = 56

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/**
 * One bar a ratio, on a logarithmic scale, with its smallest and largest round as a line and what is required as a
 * tick. `notes` stand below.
 */
export function chart(answers: readonly Answer[], notes: readonly string[]): string {
  const bars = answers.flatMap(({ question, lines }) =>
    lines
      .filter((line) => line.isRatioToStock && line.figureUnit === '×')
      .map(({ label, figures, goal }) => ({ label: `${question.name}: ${label}`, figures, goal })),
  )
  const largest = Math.max(2, ...bars.flatMap(({ figures, goal }) => [...figures, goal?.required ?? 1]))
  const scale = (WIDTH - LABEL_WIDTH - 80) / Math.log(largest)
  const x = (ratio: number) => LABEL_WIDTH + Math.log(Math.max(1, ratio)) * scale
  const bottom = TOP + bars.length * ROW_HEIGHT
  const height = bottom + 40 + notes.length * 16
  const grid = [1, 2, 5, 10, 20, 50, 100].filter((ratio) => ratio <= largest)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    '<title>How many times better than the stock OpenTelemetry SDK each cost is</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="16" y="24" font-size="15" font-weight="600" fill="#1f2328">times better than the stock OpenTelemetry SDK</text>`,
    ...grid.flatMap((ratio) => [
      `<line x1="${x(ratio).toFixed(1)}" x2="${x(ratio).toFixed(1)}" y1="${TOP - 6}" y2="${bottom}" stroke="#d1d9e0"/>`,
      `<text x="${x(ratio).toFixed(1)}" y="${TOP - 10}" text-anchor="middle" fill="#59636e">${ratio}×</text>`,
    ]),
  ]
  bars.forEach(({ label, figures, goal }, i) => {
    const y = TOP + i * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2
    const middle = y + BAR_HEIGHT / 2
    const figure = median(figures)
    const [low, high] = [x(Math.min(...figures)), x(Math.max(...figures))]
    parts.push(
      `<text x="${LABEL_WIDTH - 10}" y="${middle + 4}" text-anchor="end" fill="#1f2328">${escaped(label)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${(x(figure) - LABEL_WIDTH).toFixed(1)}" height="${BAR_HEIGHT}" fill="#2f81a7"/>`,
      `<line x1="${low.toFixed(1)}" x2="${high.toFixed(1)}" y1="${middle}" y2="${middle}" stroke="#12394b" stroke-width="2"/>`,
      `<text x="${(Math.max(x(figure), high) + 6).toFixed(1)}" y="${middle + 4}" font-weight="600" fill="#1f2328">${figure.toFixed(1)}×</text>`,
    )
    if (goal?.sense === 'at least') {
      const at = x(goal.required).toFixed(1)
      parts.push(
        `<line x1="${at}" x2="${at}" y1="${y - 3}" y2="${y + BAR_HEIGHT + 3}" stroke="#bc4c00" stroke-width="2"/>`,
      )
    }
  })
  const legend = 'bar: median of the rounds; dark line: smallest to largest; orange: what is required'
  for (const [i, note] of [legend, ...notes].entries()) {
    parts.push(
      `<text x="16" y="${bottom + 22 + i * 16}" font-size="11" fill="#59636e">${escaped(note)}</text>`,
    )
  }
  return `${parts.join('\n')}\n</svg>\n`
}
