import type { Mutant } from './mutant.ts'

export default {
  why: 'B57: a round that is over does not make a suspect',
  file: 'src/pipeline/lease.ts',
  find: ' || this.#isRoundOver(this.#nextAttemptAt())',
  replace: '',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
