import type { Mutant } from './mutant.ts'

export default {
  why: 'B38: a success does not close the breaker',
  file: 'src/pipeline/breaker.ts',
  find: '  succeeded(): void {\n    this.#failures = 0\n',
  replace: '  succeeded(): void {\n',
  tests: ['test/model/model.test.ts'],
} satisfies Mutant
