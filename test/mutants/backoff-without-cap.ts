import type { Mutant } from './mutant.ts'

export default {
  why: 'B33: the backoff grows beyond its maximum',
  file: 'src/pipeline/retry.ts',
  find: 'Math.min(initialBackoffMillis * growth, maxBackoffMillis)',
  replace: 'initialBackoffMillis * growth',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
