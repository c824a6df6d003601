import type { Mutant } from './mutant.ts'

export default {
  why: 'B24: the timer of an attempt outlives its answer',
  file: 'src/pipeline/attempt.ts',
  find: '      timer.cancel()\n      attempt.pulse.beat()\n',
  replace: '      attempt.pulse.beat()\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
