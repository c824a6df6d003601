import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file has its name before it is synced',
  file: 'src/spool/durable.ts',
  find: 'body.subarray(at))\n    yield* calls.fsync(fd)',
  replace: 'body.subarray(at))',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
