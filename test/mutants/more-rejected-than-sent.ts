import type { Mutant } from './mutant.ts'

export default {
  why: 'B36: a backend may reject more spans than it was sent',
  file: 'src/otlp/response.ts',
  find: 'Math.min(number, spanCount)',
  replace: 'number',
  tests: ['test/otlp/response.test.ts'],
} satisfies Mutant
