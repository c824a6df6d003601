import type { Mutant } from './mutant.ts'

export default {
  why: 'B24: the timer of a pause outlives the shutdown',
  file: 'src/pipeline/drain.ts',
  find: '    this.#attempt?.end()\n    this.#interruptPause()\n',
  replace: '    this.#attempt?.end()\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
