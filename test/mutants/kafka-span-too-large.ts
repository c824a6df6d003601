import type { Mutant } from './mutant.ts'

export default {
  why: 'Kafka: a span that no message can hold is sent all the same',
  file: 'src/kafka/split.ts',
  find: '  if (groups.some(({ bytes }) => bytes > maxBytes)) return undefined\n',
  replace: '',
  tests: ['test/kafka/kafka.test.ts'],
} satisfies Mutant
