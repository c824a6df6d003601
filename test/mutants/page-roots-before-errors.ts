import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: local roots go before errors',
  file: 'src/pipeline/importance.ts',
  find: 'const KINDS = [FLAG_ERROR | FLAG_LOCAL_ROOT, FLAG_ERROR, FLAG_LOCAL_ROOT, 0]',
  replace: 'const KINDS = [FLAG_ERROR | FLAG_LOCAL_ROOT, FLAG_LOCAL_ROOT, FLAG_ERROR, 0]',
  tests: ['test/pipeline/importance.test.ts'],
} satisfies Mutant
