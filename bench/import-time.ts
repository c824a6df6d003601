/** How long does it take to import, once the SDK is there, unbundled and in a fresh process? */
import { type Question, ratioLine } from './harness/question.ts'

export const question: Question = {
  name: 'import-time',
  title: 'import after the SDK',
  async ask(bench) {
    const settings = {
      sdk: bench.sdk,
      stock: '@opentelemetry/exporter-trace-otlp-proto',
      tailrace: 'tailrace',
    }
    const rounds = await bench.rounds(['stock', 'tailrace'], {
      settings,
      program: 'import.mjs',
      // Short ones: many do not take long.
      rounds: bench.isQuick ? 5 : 21,
    })
    return [ratioLine('less', 'ms', rounds, 'millis', { required: 10, aim: 15 })]
  },
}
