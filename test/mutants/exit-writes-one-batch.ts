import type { Mutant } from './mutant.ts'

export default {
  why: 'B53: an exit writes the first batch, and no other',
  file: 'src/spool/spiller.ts',
  find: 'while (monotonicNow() < endsAt && this.#writeNow());',
  replace: 'if (monotonicNow() < endsAt) this.#writeNow()',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
