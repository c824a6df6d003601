import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: what a look saw is replaced by what an earlier one saw',
  file: 'src/spool/inventory.ts',
  find: 'if (startedAt >= this.#lookedAt) this',
  replace: 'this',
  tests: ['test/spool/looks.test.ts'],
} satisfies Mutant
