import type { Mutant } from './mutant.ts'

export default {
  why: 'B28: an attempt whose timers never fire again holds its batch for ever',
  file: 'src/pipeline/drain.ts',
  find: 'if (this.#attempt?.pulse.looksDead(monotonicNow(), this.#turns)) this.#attempt.end()',
  replace: '',
  tests: ['test/contract/request-scoped.test.ts'],
} satisfies Mutant
