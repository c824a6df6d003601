import type { Mutant } from './mutant.ts'

export default {
  why: 'Kafka: a message is larger than it may be, by what stands in front of its spans',
  file: 'src/kafka/split.ts',
  find: '  if (scope.resource !== before?.resource) bytes += scope.resource.own.length + HEAD_BYTES\n',
  replace: '',
  tests: ['test/kafka/kafka.test.ts'],
} satisfies Mutant
