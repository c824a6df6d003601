import type { Mutant } from './mutant.ts'

export default {
  why: 'B16: a batch that waits again does not count against maxQueueBytes',
  file: 'src/pipeline/backlog.ts',
  find: 'return this.#parkedBytes + this.#queue.bytes',
  replace: 'return this.#queue.bytes',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
