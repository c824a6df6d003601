import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a batch that could not be written counts as spooled',
  file: 'src/spool/spiller.ts',
  find: '        this.#settle(batch, isKept)\n        if',
  replace: '        this.#settle(batch, true)\n        if',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
