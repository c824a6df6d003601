import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a write that wrote a part is taken for the whole',
  file: 'src/spool/durable.ts',
  find: 'at += yield* calls.write(fd, body.subarray(at))',
  replace: 'at += body.length + 0 * (yield* calls.write(fd, body))',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
