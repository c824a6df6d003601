import type { Mutant } from './mutant.ts'

export default {
  why: 'B17: a batch may be one span larger than maxExportBatchBytes',
  file: 'src/pipeline/arena.ts',
  find: 'if (total > maxBytes && fits > 0) break',
  replace: 'if (total > maxBytes && fits > 1) break',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
