import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: what is learnt anew is written over what was learnt of something else',
  file: 'src/otlp/pieces.ts',
  find: 'to - from > this.length',
  replace: 'to - from > this.length + 1',
  tests: ['test/otlp/pieces.test.ts'],
} satisfies Mutant
