import type { Mutant } from './mutant.ts'

export default {
  why: 'B45: the count of dropped events is that of the links',
  file: 'src/otlp/protobuf.ts',
  find: 'writeCount(writer, 0x60, span.droppedEventsCount)',
  replace: 'writeCount(writer, 0x60, span.droppedLinksCount)',
  tests: ['test/otlp/protobuf.test.ts'],
} satisfies Mutant
