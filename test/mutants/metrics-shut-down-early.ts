import type { Mutant } from './mutant.ts'

export default {
  why: 'B49: drops at the end are not recorded before shutdown is over',
  file: 'src/pipeline/metrics.ts',
  find: '    contain(this.#stopObserving)\n    this.#recordDrops()',
  replace: '    contain(this.#stopObserving)',
  tests: ['test/pipeline/metrics.test.ts'],
} satisfies Mutant
