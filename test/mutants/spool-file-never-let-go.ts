import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file that could not be sent stays with its process',
  file: 'src/spool/replay.ts',
  find: '      await this.#store.release(claim)\n      return this.#tryLater(base, outcome',
  replace: '      return this.#tryLater(base, outcome',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
