import type { Mutant } from './mutant.ts'

export default {
  why: 'B11: what a shutdown cannot send is dropped in spite of a spool',
  file: 'src/pipeline/drain.ts',
  find: '    flushSync(this.#lease, this.#sender, this.#books.spiller, NO_TIME_LEFT)\n',
  replace: '',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
