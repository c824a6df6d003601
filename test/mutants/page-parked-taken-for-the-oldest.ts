import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: a flush settles while older spans wait than those that were put back',
  file: 'src/pipeline/backlog.ts',
  find: 'return Math.min(this.#parked[0]?.firstSequence ?? Infinity, this.#queue.firstSequence)',
  replace: 'return this.#parked[0]?.firstSequence ?? this.#queue.firstSequence',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
