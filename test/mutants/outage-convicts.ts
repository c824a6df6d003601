import type { Mutant } from './mutant.ts'

export default {
  why: 'B57: a batch is given up although its neighbour failed, too',
  file: 'src/pipeline/lease.ts',
  find: '      this.#suspect = undefined\n      this.#failedNeighbours.add(batch)\n',
  replace: '      this.#failedNeighbours.add(batch)\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
