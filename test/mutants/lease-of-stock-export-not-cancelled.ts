import type { Mutant } from './mutant.ts'

export default {
  why: 'B28: an export that called back late ends the lease of the next one',
  file: 'src/exporters/standard.ts',
  find: '        lease.cancel()\n',
  replace: '',
  tests: ['test/contract/exporters.test.ts'],
} satisfies Mutant
