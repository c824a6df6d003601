import type { Mutant } from './mutant.ts'

export default {
  why: 'B38: an open breaker lets every attempt through',
  file: 'src/pipeline/breaker.ts',
  find: 'this.#probeDueAt = now + this.#options.probeIntervalMillis',
  replace: 'this.#probeDueAt = now',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
