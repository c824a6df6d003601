import type { Mutant } from './mutant.ts'

export default {
  why: 'B44: bytes are copied as doubles that are not numbers',
  file: 'src/otlp/pieces.ts',
  find: 'bytes[i - 1] >= 0xf0',
  replace: 'bytes[i - 1] > 0xf0',
  tests: ['test/otlp/pieces.test.ts'],
} satisfies Mutant
