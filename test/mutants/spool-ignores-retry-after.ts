import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a replay comes before the backend wants it',
  file: 'src/spool/replay.ts',
  find: 'now + Math.max(millis, serverMillis)',
  replace: 'now + millis',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
