import type { Mutant } from './mutant.ts'

export default {
  why: 'B42: a length of 128 is thought to fit into one byte',
  file: 'src/otlp/protobuf-writer.ts',
  find: 'return value < 0x80 ? 1',
  replace: 'return value <= 0x80 ? 1',
  tests: ['test/otlp/protobuf.test.ts'],
} satisfies Mutant
