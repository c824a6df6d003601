import type { Mutant } from './mutant.ts'

export default {
  why: "B33: the server's delay is no floor",
  file: 'src/pipeline/pace.ts',
  find: 'this.#serverDelayUntil = now + retryAfterMillis',
  replace: 'this.#serverDelayUntil = now',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
