import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: files are replayed as fast as they are taken',
  file: 'src/spool/replay.ts',
  find: 'this.#pacedUntil = monotonicNow() + this.#millisBetween',
  replace: 'this.#pacedUntil = monotonicNow()',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
