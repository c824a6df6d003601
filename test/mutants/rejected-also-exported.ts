import type { Mutant } from './mutant.ts'

export default {
  why: 'B19: rejected spans are counted as exported, too',
  file: 'src/pipeline/ledger.ts',
  find: 'this.exported += batch.count - rejected',
  replace: 'this.exported += batch.count',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
