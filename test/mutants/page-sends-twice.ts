import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: pagehide and visibilitychange together send twice',
  file: 'src/pipeline/page-lease.ts',
  find: 'if (this.lease.isOut || !this.#maySend(isLast)) return',
  replace: 'if (!this.#maySend(isLast)) return',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
