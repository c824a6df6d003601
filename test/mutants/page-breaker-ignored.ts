import type { Mutant } from './mutant.ts'

export default {
  why: 'B38: an open breaker is ignored while the page may live on',
  file: 'src/pipeline/page-lease.ts',
  find: 'ignoresBreaker: isLast,',
  replace: 'ignoresBreaker: true,',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
