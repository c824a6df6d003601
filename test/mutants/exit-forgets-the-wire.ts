import type { Mutant } from './mutant.ts'

export default {
  why: 'B53: at an exit the batch on the wire is not written to the spool',
  file: 'src/pipeline/flush-sync.ts',
  find: '    lease.handBack()\n    suppressTracing(() => spiller',
  replace: '    suppressTracing(() => spiller',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
