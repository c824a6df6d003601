import type { Mutant } from './mutant.ts'

export default {
  why: 'B43: characters from U+0080 to U+00FF go out as single bytes',
  file: 'src/otlp/ascii.ts',
  find: 'return seen <= 0x7f',
  replace: 'return seen <= 0xff',
  tests: ['test/otlp/protobuf.test.ts', 'test/otlp/json.test.ts'],
} satisfies Mutant
