import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file is taken from a process that is sending it',
  file: 'src/spool/names.ts',
  find: 'Number(pid) !== process.pid && !isAlive(Number(pid))',
  replace: 'Number(pid) !== process.pid',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
