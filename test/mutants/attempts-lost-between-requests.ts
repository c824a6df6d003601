import type { Mutant } from './mutant.ts'

export default {
  why: 'B58: on Workers a poison batch is tried for ever',
  file: 'src/pipeline/lease.ts',
  find: 'this.#batch.attempts = this.#attempts',
  replace: 'this.#batch.attempts = 0',
  tests: ['test/contract/request-scoped.test.ts'],
} satisfies Mutant
