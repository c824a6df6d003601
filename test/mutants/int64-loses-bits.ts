import type { Mutant } from './mutant.ts'

export default {
  why: 'B43: large integers lose a bit between their halves',
  file: 'src/otlp/protobuf-writer.ts',
  find: '(high << 25)',
  replace: '(high << 24)',
  tests: ['test/otlp/protobuf.test.ts'],
} satisfies Mutant
