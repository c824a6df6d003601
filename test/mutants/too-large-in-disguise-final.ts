import type { Mutant } from './mutant.ts'

export default {
  why: "B35: the OpenTelemetry Collector's 400 for a body that is too large fails the batch",
  file: 'src/transport/classify.ts',
  find: ' || (status === 400 && saysTooLarge(result.body))',
  replace: '',
  tests: ['test/transport/classify.test.ts'],
} satisfies Mutant
