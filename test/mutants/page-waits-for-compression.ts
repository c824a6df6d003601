import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: what must outlive the page is compressed first',
  file: 'src/otlp/sender.ts',
  find: 'mustOutlivePage ? undefined : this.#compress',
  replace: 'this.#compress',
  tests: ['test/pipeline/page-lease.test.ts'],
} satisfies Mutant
