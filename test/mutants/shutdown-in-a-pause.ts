import type { Mutant } from './mutant.ts'

export default {
  why: 'B24: the timer of a pause outlives the shutdown',
  file: 'src/pipeline/drain.ts',
  find: '    this.#wait.interrupt()\n    this.#closed = this.#hooks',
  replace: '    this.#closed = this.#hooks',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
