import type { Mutant } from './mutant.ts'

export default {
  why: 'B35: batches stay small for ever after one that was too large',
  file: 'src/pipeline/lease.ts',
  find: 'this.#softMaxBytes *= 2',
  replace: 'this.#softMaxBytes *= 1',
  tests: ['test/pipeline/lease.test.ts'],
} satisfies Mutant
