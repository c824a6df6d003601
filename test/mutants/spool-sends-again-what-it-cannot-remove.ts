import type { Mutant } from './mutant.ts'

export default {
  why: 'the spool: a file that was sent and cannot be removed is sent again',
  file: 'src/spool/directory.ts',
  find: '    this.#sent.set(entry.name, entry)\n    yield* this.#removeSent(entry)',
  replace: '    this.#inUse.delete(entry.name)\n    yield* this.#removeSent(entry)',
  tests: ['test/spool/directory.test.ts'],
} satisfies Mutant
