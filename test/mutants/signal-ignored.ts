import type { Mutant } from './mutant.ts'

export default {
  why: "B9: a flush does not hear its caller's signal",
  file: 'src/pipeline/flush.ts',
  find: "    options.signal?.addEventListener('abort', this.#onExpire)\n",
  replace: '',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
