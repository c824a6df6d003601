import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: what is counted as spooled may be gone after a power cut',
  file: 'src/spool/directory.ts',
  find: '    yield* syncDirectory(this.#limits.directory)\n',
  replace: '',
  tests: ['test/model/spool.test.ts'],
} satisfies Mutant
