import type { Mutant } from './mutant.ts'

export default {
  why: 'B58: a neighbour that failed itself decides about the suspect again',
  file: 'src/pipeline/lease.ts',
  find: 'this.#take(this.#failedNeighbours)',
  replace: 'this.#take()',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
