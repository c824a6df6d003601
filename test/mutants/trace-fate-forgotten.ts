import type { Mutant } from './mutant.ts'

export default {
  why: 'B15: by trace, what still ends of a broken trace is taken for a new one',
  file: 'src/pipeline/trace-order.ts',
  find: '    this.#fates.set(trace.hash, trace.isBroken)\n',
  replace: '',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
