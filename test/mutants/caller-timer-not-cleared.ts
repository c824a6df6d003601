import type { Mutant } from './mutant.ts'

export default {
  why: 'B24: the timer of a flush outlives the flush',
  file: 'src/pipeline/flush.ts',
  find: '    this.#timer.cancel()\n    this.#options.signal',
  replace: '    this.#options.signal',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
