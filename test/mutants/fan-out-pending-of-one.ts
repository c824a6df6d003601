import type { Mutant } from './mutant.ts'

export default {
  why: 'fanOut: what is pending at the other destinations is not in the sum',
  file: 'src/exporters/fan-out.ts',
  find: '      sum.pending += stats.pending\n',
  replace: '',
  tests: ['test/contract/fan-out.test.ts'],
} satisfies Mutant
