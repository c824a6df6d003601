import type { Mutant } from './mutant.ts'

export default {
  why: 'B51: what a cancelled request held is never taken over',
  file: 'src/pipeline/request-drain.ts',
  find: 'if (other.attempt?.looksDead(now)) other.#handBack()',
  replace: '',
  tests: ['test/contract/request-scoped.test.ts'],
} satisfies Mutant
