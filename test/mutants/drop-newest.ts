import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: the newest span gives way whatever the policy',
  file: 'src/pipeline/backlog.ts',
  find: "if (dropPolicy === 'newest') return",
  replace: 'if (dropPolicy !== undefined) return',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
