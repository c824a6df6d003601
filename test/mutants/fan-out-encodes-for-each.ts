import type { Mutant } from './mutant.ts'

export default {
  why: 'fanOut: a span is encoded once for each destination',
  file: 'src/exporters/shared-encoder.ts',
  find: '          if (span === this.#span) this.#record = record\n',
  replace: '',
  tests: ['test/contract/fan-out-encoding.test.ts'],
} satisfies Mutant
