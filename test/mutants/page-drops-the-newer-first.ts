import type { Mutant } from './mutant.ts'

export default {
  why: 'B16: what left with the page and came back is dropped before older spans',
  file: 'src/pipeline/backlog.ts',
  find: ': parked.firstSequence > this.#queue.firstSequence)',
  replace: ': false)',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
