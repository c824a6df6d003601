import type { Mutant } from './mutant.ts'

export default {
  why: "B38: on Workers, a flush waits for another request's probe while the breaker is open",
  file: 'src/pipeline/request-drain.ts',
  find: 'if (this.lease.isOut || !this.#heedsBreaker()) return false',
  replace: 'return false',
  tests: ['test/model/requests.test.ts'],
} satisfies Mutant
