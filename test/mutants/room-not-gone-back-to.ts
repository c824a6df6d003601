import type { Mutant } from './mutant.ts'

export default {
  why: 'after one large span every other one is copied',
  file: 'src/otlp/writer.ts',
  find: 'KEPT_BYTES_MAX = 16 * 1024',
  replace: 'KEPT_BYTES_MAX = 256 * 1024',
  tests: ['test/otlp/writer.test.ts'],
} satisfies Mutant
