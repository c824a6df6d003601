import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: what left with the page is not pending',
  file: 'src/pipeline/drain.ts',
  find: ' + this.#page.lease.countThrough(sequence)',
  replace: '',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
