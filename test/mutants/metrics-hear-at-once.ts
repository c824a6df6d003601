import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: a meter hears of a drop before the span that caused it is in its place',
  file: 'src/pipeline/metrics.ts',
  find: 'this.#dropsRecorded.makeSoon()',
  replace: 'this.#recordDrops()',
  tests: ['test/pipeline/metrics.test.ts'],
} satisfies Mutant
