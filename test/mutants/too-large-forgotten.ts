import type { Mutant } from './mutant.ts'

export default {
  why: 'B35: what was too large is tried again with every batch',
  file: 'src/pipeline/lease.ts',
  find: 'Math.min(maxExportBatchBytes, this.#books.sizeLimit.maxBytes)',
  replace: 'maxExportBatchBytes',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
