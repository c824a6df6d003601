import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: by trace, one of which a part was sent gives way before one of which nothing was',
  file: 'src/pipeline/trace-order.ts',
  find: 'this.#fresh.first ?? this.#sent.first',
  replace: 'this.#sent.first ?? this.#fresh.first',
  tests: ['test/pipeline/trace-order.test.ts'],
} satisfies Mutant
