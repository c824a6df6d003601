import type { Mutant } from './mutant.ts'

export default {
  why: 'B38, B51: an attempt from before the breaker opened, whose request has died, passes for its probe',
  file: 'src/pipeline/breaker.ts',
  find: 'return this.isOpen && startedAt >= this.#probeDueAt && now - startedAt < this.#options.probeIntervalMillis',
  replace: 'return this.isOpen && startedAt <= now',
  tests: ['test/model/requests.test.ts'],
} satisfies Mutant
