import type { Mutant } from './mutant.ts'

export default {
  why: 'B28: an export starts while an abandoned one is running',
  file: 'src/exporters/standard.ts',
  find: '      this.#running = running\n',
  replace: '',
  tests: ['test/model/model.test.ts', 'test/contract/exporters.test.ts'],
} satisfies Mutant
