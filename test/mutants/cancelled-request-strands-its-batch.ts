import type { Mutant } from './mutant.ts'

export default {
  why: 'B51: what a cancelled request held is never taken over',
  file: 'src/pipeline/request-drain.ts',
  find: 'if (other !== this && other.pulse.looksDead(now, this.#shared.turns)) this.#takeFrom(other)',
  replace: '',
  tests: ['test/contract/request-scoped.test.ts', 'test/model/requests.test.ts'],
} satisfies Mutant
