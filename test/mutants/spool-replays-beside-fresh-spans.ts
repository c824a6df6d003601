import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: replays do not wait for fresh spans',
  file: 'src/spool/replay.ts',
  find: 'if (this.#freshInFlight > 0) {',
  replace: 'if (this.#freshInFlight > 1) {',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
