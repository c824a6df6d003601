import type { Mutant } from './mutant.ts'

export default {
  why: 'B35: what was cut off a batch is sent in the wrong order',
  file: 'src/pipeline/lease.ts',
  find: 'this.#rest.unshift(second)',
  replace: 'this.#rest.push(second)',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
