import type { Mutant } from './mutant.ts'

export default {
  why: 'B42: a message of 128 bytes gets a length of one byte',
  file: 'src/otlp/protobuf-writer.ts',
  find: 'if (length < 0x80) {',
  replace: 'if (length <= 0x80) {',
  tests: ['test/otlp/protobuf.test.ts'],
} satisfies Mutant
