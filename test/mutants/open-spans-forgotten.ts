import type { Mutant } from './mutant.ts'

export default {
  why: 'B13: the spans that are open are forgotten with those that have ended',
  file: 'src/pipeline/open-spans.ts',
  find: 'this.#parents = new Map(this.#parents)',
  replace: 'this.#parents = new Map()',
  tests: ['test/pipeline/open-spans.test.ts'],
} satisfies Mutant
