import type { Mutant } from './mutant.ts'

export default {
  why: 'B24: the timer of an attempt outlives its answer',
  file: 'src/pipeline/attempt.ts',
  find: '      timer.cancel()\n      lookAtClock()\n',
  replace: '      lookAtClock()\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
