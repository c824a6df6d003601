import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: each claim that finds nothing lists the directory',
  file: 'src/spool/directory.ts',
  find: ' && !this.#hasLookedInVain',
  replace: '',
  tests: ['test/spool/looks.test.ts'],
} satisfies Mutant
