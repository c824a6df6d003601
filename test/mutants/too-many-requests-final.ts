import type { Mutant } from './mutant.ts'

export default {
  why: 'B32: 429 is not tried again',
  file: 'src/transport/classify.ts',
  find: 'status !== 429 && ',
  replace: '',
  tests: ['test/transport/classify.test.ts'],
} satisfies Mutant
