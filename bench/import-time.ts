/** How long does it take to import, once the SDK is there, unbundled and in a fresh process? */
import { column, type Line, type Question, ratioLine } from './harness/question.ts'
import { median } from './harness/statistics.ts'

export const question: Question = {
  name: 'import-time',
  title: 'import after the SDK',
  async ask(bench) {
    const settings = {
      sdk: bench.sdk,
      stock: '@opentelemetry/exporter-trace-otlp-proto',
      tailrace: 'tailrace',
      floor: './api-alone.mjs',
    }
    // Short ones: many do not take long.
    const options = { settings, program: 'import.mjs', rounds: bench.isQuick ? 5 : 21 }
    const rounds = await bench.rounds(['stock', 'tailrace'], options)
    const floors = await bench.rounds(['floor'], options)
    const compiling = await bench.rounds(['compiling'], {
      ...options,
      program: 'compile.mjs',
      nodeOptions: ['--experimental-vm-modules', '--no-warnings'],
    })
    const samples = {
      tailrace: column(rounds, 'tailrace', 'millis'),
      compiling: column(compiling, 'compiling', 'millis'),
    }
    const ofItCompiling: Line = {
      label: 'of it compiling',
      unit: 'ms',
      samples,
      figures: samples.compiling.map((millis) => (millis / median(samples.tailrace)) * 100),
      figureUnit: '%',
      isRatioToStock: false,
    }
    return [ratioLine('less', 'ms', rounds, 'millis', { required: 10, aim: 15 }, floors), ofItCompiling]
  },
}
