import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file is pushed out while it is being sent',
  file: 'src/spool/directory.ts',
  find: 'total > maxBytes && !this.#isInUse(entry) &&',
  replace: 'total > maxBytes &&',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
