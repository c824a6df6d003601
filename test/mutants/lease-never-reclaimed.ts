import type { Mutant } from './mutant.ts'

export default {
  why: 'B28: a sender that ignores its abort keeps its batch for ever',
  file: 'src/pipeline/attempt.ts',
  find: "timer = startTimer(() => settle({ kind: 'retryable', error }), LEASE_GRACE_MILLIS)",
  replace: 'timer = startTimer(() => {}, LEASE_GRACE_MILLIS)',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
