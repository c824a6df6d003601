import type { Mutant } from './mutant.ts'

export default {
  why: 'B4: a wake during an export starts a second one',
  file: 'src/pipeline/drain.ts',
  find: 'if (this.#isDraining || !this.#hasWork()) return',
  replace: 'if (!this.#hasWork()) return',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
