import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: each write and each claim lists the directory',
  file: 'src/spool/inventory.ts',
  find: '>= millis',
  replace: '>= 0',
  tests: ['test/spool/looks.test.ts'],
} satisfies Mutant
