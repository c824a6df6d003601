import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: a span that ends while room is made comes in over the one that needs it',
  file: 'src/pipeline/backlog.ts',
  find: 'if (!this.#isRelieving) {',
  replace: 'if (this.#ledger.ended >= 0) {',
  tests: ['test/pipeline/backlog.test.ts'],
} satisfies Mutant
