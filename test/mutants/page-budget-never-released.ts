import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: what was in flight once counts for ever',
  file: 'src/transport/keepalive.ts',
  find: '    bytesInFlight -= bytes\n',
  replace: '',
  tests: ['test/transport/fetch.test.ts'],
} satisfies Mutant
