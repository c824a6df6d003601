import type { Mutant } from './mutant.ts'

export default {
  why: 'B27: a failure in a freeze trips the breaker',
  file: 'src/pipeline/pace.ts',
  find: 'if (!wasFrozen) this.#breaker?.failed(now)',
  replace: 'this.#breaker?.failed(now)',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
