import type { Mutant } from './mutant.ts'

export default {
  why: 'B61: spans that end between two invocations are not noticed',
  file: 'src/pipeline/invocations.ts',
  find: 'this.#endedAt = this.#backlog.newestSequence',
  replace: 'this.#endedAt = Infinity',
  tests: ['test/contract/invocations.test.ts'],
} satisfies Mutant
