import type { Mutant } from './mutant.ts'

export default {
  why: 'B58: a batch has one attempt more than it should before its neighbour is tried',
  file: 'src/pipeline/lease.ts',
  find: 'this.#attempts >= maxAttempts - 1',
  replace: 'this.#attempts >= maxAttempts',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
