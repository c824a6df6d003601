import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: by trace, roots and errors of broken traces crowd out whole traces',
  file: 'src/pipeline/trace-order.ts',
  find: 'this.#keptCount * KEPT_SHARE > this.count',
  replace: 'this.#keptCount > this.count',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
