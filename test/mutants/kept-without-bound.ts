import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: roots and errors of broken traces crowd out whole traces',
  file: 'src/pipeline/trace-order.ts',
  find: 'this.#keptCount * KEPT_SHARE > this.count',
  replace: 'this.count < 0',
  tests: ['test/pipeline/trace-order.test.ts'],
} satisfies Mutant
