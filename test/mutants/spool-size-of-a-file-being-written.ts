import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file that grows keeps the size at which it was seen first',
  file: 'src/spool/inventory.ts',
  find: "(entry.kind === 'temporary' ? undefined : known?.size)",
  replace: 'known?.size',
  tests: ['test/spool/looks.test.ts'],
} satisfies Mutant
