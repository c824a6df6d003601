import type { Mutant } from './mutant.ts'

export default {
  why: 'B38: a shutdown that comes during an attempt does not try once more',
  file: 'src/pipeline/drain.ts',
  find: 'this.#isClosing = this.#owesLastAttempt = true',
  replace: 'this.#isClosing = true',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
