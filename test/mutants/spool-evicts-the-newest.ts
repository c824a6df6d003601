import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: the newest file is pushed out first',
  file: 'src/spool/by-age.ts',
  find: 'return a.writtenAt - b.writtenAt',
  replace: 'return b.writtenAt - a.writtenAt',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
