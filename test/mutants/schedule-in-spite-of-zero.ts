import type { Mutant } from './mutant.ts'

export default {
  why: 'B23: a scheduled delay of 0 makes a timer',
  file: 'src/pipeline/drain.ts',
  find: 'if (this.#options.scheduledDelayMillis === 0 || this.#closed !== undefined) return',
  replace: 'if (this.#closed !== undefined) return',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
