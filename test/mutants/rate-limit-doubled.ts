import type { Mutant } from './mutant.ts'

export default {
  why: 'B39: twice the exports that the rate limit allows',
  file: 'src/pipeline/pace.ts',
  find: '1000 / maxExportsPerSecond',
  replace: '500 / maxExportsPerSecond',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
