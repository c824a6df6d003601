import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: code that ends a span whenever room is made keeps span.end() for ever',
  file: 'src/pipeline/late-spans.ts',
  find: 'this.#late.length < MAX_LATE_SPANS',
  replace: 'this.#late.length < 10 * MAX_LATE_SPANS',
  tests: ['test/pipeline/backlog.test.ts'],
} satisfies Mutant
