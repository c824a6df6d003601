import type { Mutant } from './mutant.ts'

export default {
  why: 'what an announcement itself brings up is announced before the event loop has turned',
  file: 'src/pipeline/wait.ts',
  find: 'if (this.#isBeingMade) this.#makeLater()',
  replace: 'if (this.#willBeMadeLater) this.#makeLater()',
  tests: ['test/pipeline/metrics.test.ts'],
} satisfies Mutant
