import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: the newest span gives way whatever the policy',
  file: 'src/pipeline/backlog.ts',
  find: "if (isFull && dropPolicy === 'newest')",
  replace: 'if (isFull)',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
