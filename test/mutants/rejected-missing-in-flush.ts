import type { Mutant } from './mutant.ts'

export default {
  why: 'B36: a flush is told that rejected spans were exported',
  file: 'src/pipeline/ledger.ts',
  find: 'Math.max(0, covered - rejected)',
  replace: 'covered',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
