import type { Mutant } from './mutant.ts'

export default {
  why: 'B35: batches stay small for ever after one that was too large',
  file: 'src/pipeline/size-limit.ts',
  find: 'this.#maxBytes *= 2',
  replace: 'this.#maxBytes *= 1',
  tests: ['test/pipeline/lease.test.ts'],
} satisfies Mutant
