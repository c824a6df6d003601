import type { Mutant } from './mutant.ts'

export default {
  why: 'B65: a process that has just thawed is taken for dead',
  file: 'src/pipeline/pulse.ts',
  find: 'return this.#silentLooks >= LOOKS_BEFORE_DEATH && now - this.#silentSince >= DEATH_MILLIS',
  replace: 'return true',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
