import type { Mutant } from './mutant.ts'

export default {
  why: 'B33: the seconds of Retry-After are taken for milliseconds',
  file: 'src/transport/retry-after.ts',
  find: 'millis = Number(text) * 1000',
  replace: 'millis = Number(text)',
  tests: ['test/transport/retry-after.test.ts'],
} satisfies Mutant
