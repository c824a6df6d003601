import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file is pushed out while it is being sent',
  file: 'src/spool/directory.ts',
  find: 'if (this.#isInUse(entry)) continue',
  replace: 'if (this.#isInUse(entry) && !isFull()) continue',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
