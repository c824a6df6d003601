import type { Mutant } from './mutant.ts'

export default {
  why: 'B16: one span more than maxQueueSize waits',
  file: 'src/pipeline/backlog.ts',
  find: 'while (this.count + count > this.#limits.maxQueueSize)',
  replace: 'while (this.count + count - 1 > this.#limits.maxQueueSize)',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
