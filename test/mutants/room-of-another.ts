import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: a span goes on being written where others may write',
  file: 'src/otlp/protobuf.ts',
  find: 'if (nested) this.#writer.leave()',
  replace: '',
  tests: ['test/pipeline/arena.test.ts'],
} satisfies Mutant
