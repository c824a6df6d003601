import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: resource and scopes come on top of the budget',
  file: 'src/pipeline/arena.ts',
  find: 'const maxRecordBytes = maxBytes - this.#frameBytes()',
  replace: 'const maxRecordBytes = maxBytes',
  tests: ['test/pipeline/importance.test.ts'],
} satisfies Mutant
