/** How long does a cold process take to import, end one span, and have it delivered by `forceFlush`? */
import { type Question, ratioLine } from './harness/question.ts'

export const question: Question = {
  name: 'cold-start',
  title: 'cold process: import, one span, forceFlush, delivered',
  async ask(bench) {
    const options = {
      settings: { sdk: bench.sdk },
      program: 'first-span.mjs',
      receiver: 'count',
      rounds: bench.isQuick ? 5 : 21,
    } as const
    const rounds = await bench.rounds(['stock', 'tailrace'], options)
    const floors = await bench.rounds(['floor'], options)
    const goal = { required: 2, aim: 3 }
    return [
      ratioLine('after the import of the SDK', 'ms', rounds, 'afterSdkMillis', goal, floors),
      ratioLine('the import of the SDK included', 'ms', rounds, 'millis', goal, floors),
    ]
  },
}
