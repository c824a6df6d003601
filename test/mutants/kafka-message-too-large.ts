import type { Mutant } from './mutant.ts'

export default {
  why: 'Kafka: a message is larger than it may be, by what stands in front of its spans',
  file: 'src/kafka/split.ts',
  find: 'group.length > 0 && bytes + needed > maxBytes',
  replace: 'group.length > 0 && bytes + added > maxBytes',
  tests: ['test/kafka/kafka.test.ts'],
} satisfies Mutant
