import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: halving a file loses the span in the middle',
  file: 'src/spool/request.ts',
  find: 'index >= half',
  replace: 'index > half',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
