import type { Mutant } from './mutant.ts'

export default {
  why: 'B3: a flush does not cover the newest span',
  file: 'src/pipeline/drain.ts',
  find: '    const newest = this.#backlog.newestSequence\n',
  replace: '    const newest = this.#backlog.newestSequence - 1\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
