/** How long does it take to import, once the SDK is there, unbundled and in a fresh process? */
import { column, type Line, type Question, ratioLine } from './harness/question.ts'

export const question: Question = {
  name: 'import-time',
  title: 'import after the SDK',
  async ask(bench) {
    const settings = {
      sdk: bench.sdk,
      stock: '@opentelemetry/exporter-trace-otlp-proto',
      tailrace: 'tailrace',
      floor: './api-only.mjs',
    }
    const rounds = await bench.rounds(['stock', 'tailrace', 'floor'], {
      settings,
      program: 'import.mjs',
      // Short ones: many do not take long.
      rounds: bench.isQuick ? 5 : 21,
    })
    const tailrace = column(rounds, 'tailrace', 'millis')
    const compiling = column(rounds, 'tailrace', 'compileMillis')
    const ofItCompiling: Line = {
      label: 'of it compiling',
      unit: 'ms',
      samples: { tailrace, compiling },
      figures: compiling.map((millis, i) => (millis / tailrace[i]) * 100),
      figureUnit: '%',
      isRatioToStock: false,
    }
    return [ratioLine('less', 'ms', rounds, 'millis', { required: 10, aim: 15 }, ['floor']), ofItCompiling]
  },
}
