import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: what is learnt anew is written over what was learnt of something else',
  file: 'src/otlp/pieces.ts',
  find: 'if (length > this.length) return undefined',
  replace: 'if (length > this.length + 1) return undefined',
  tests: ['test/otlp/pieces.test.ts'],
} satisfies Mutant
