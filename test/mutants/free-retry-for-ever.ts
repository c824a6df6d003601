import type { Mutant } from './mutant.ts'

export default {
  why: 'B27: every retry on a dead socket is at once',
  file: 'src/pipeline/lease.ts',
  find: '      this.#freeRetryUsed = true\n',
  replace: '      this.#freeRetryUsed = false\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
