import type { Mutant } from './mutant.ts'

export default {
  why: 'B11: the first shutdown to expire ends the other one',
  file: 'src/pipeline/drain.ts',
  find: 'if (call.isShutdown && !this.#callers.hasOtherShutdown(call)) this.#close()',
  replace: 'if (call.isShutdown) this.#close()',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
