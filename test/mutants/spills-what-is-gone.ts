import type { Mutant } from './mutant.ts'

export default {
  why: 'B19: for a batch that the caps have dropped, everything that waits is written to disk for ever',
  file: 'src/pipeline/lease.ts',
  find: 'if (batch.count > 0) spiller.through',
  replace: 'spiller.through',
  tests: ['test/pipeline/lease.test.ts'],
} satisfies Mutant
