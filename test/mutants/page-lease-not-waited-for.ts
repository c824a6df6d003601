import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: a flush settles while what left with the page is on its way',
  file: 'src/pipeline/drain.ts',
  find: '[this.#lease, this.#page.lease, this.#backlog]',
  replace: '[this.#lease, this.#backlog]',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
