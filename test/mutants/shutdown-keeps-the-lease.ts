import type { Mutant } from './mutant.ts'

export default {
  why: 'B11: what is on the wire at the shutdown deadline is never accounted for',
  file: 'src/pipeline/drain.ts',
  find: '    this.#lease.drop()\n',
  replace: '',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
