import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: by trace, errors and roots are not kept longer',
  file: 'src/pipeline/trace-order.ts',
  find: '      if (span.isImportant) this.#keep(span)\n      else trace',
  replace: '      trace',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
