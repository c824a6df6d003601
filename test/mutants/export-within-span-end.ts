import type { Mutant } from './mutant.ts'

export default {
  why: 'B22: the span that fills a batch exports it',
  file: 'src/pipeline/drain.ts',
  find: 'if (this.#hasFullBatch()) this.wakeSoon()',
  replace: 'if (this.#hasFullBatch()) this.#goOn()',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
