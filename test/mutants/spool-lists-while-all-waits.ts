import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a write within span.end() lists the directory as often as one in the background',
  file: 'src/spool/store.ts',
  find: 'write(body, true)',
  replace: 'write(body)',
  tests: ['test/spool/looks.test.ts'],
} satisfies Mutant
