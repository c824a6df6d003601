import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: it takes four times the bytes that it may',
  file: 'src/spool/directory.ts',
  find: 'this.#inventory.bytes + bytes > maxBytes',
  replace: 'this.#inventory.bytes + bytes > 4 * maxBytes',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
