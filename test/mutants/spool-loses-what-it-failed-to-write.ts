import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a batch that could not be written is nowhere',
  file: 'src/spool/spiller.ts',
  find: '    else this.#source.putBack(batch)\n',
  replace: '',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
