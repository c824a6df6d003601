import type { Mutant } from './mutant.ts'

export default {
  why: 'B34: a retry gets the few milliseconds that are left of its round',
  file: 'src/pipeline/lease.ts',
  find: 'return this.#roundEndsAt - now < Math.min(MIN_ATTEMPT_MILLIS, this.#options.roundMillis / 4)',
  replace: 'return now >= this.#roundEndsAt',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
