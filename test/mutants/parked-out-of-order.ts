import type { Mutant } from './mutant.ts'

export default {
  why: 'B57: batches that wait again lose their order',
  file: 'src/pipeline/backlog.ts',
  find: 'other.firstSequence > batch.firstSequence',
  replace: 'other.firstSequence < batch.firstSequence',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
