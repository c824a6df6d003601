import type { Mutant } from './mutant.ts'

export default {
  why: 'B26: deadlines move when the wall clock is set',
  file: 'src/pipeline/deadline.ts',
  find: 'return performance.now()',
  replace: 'return Date.now()',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
