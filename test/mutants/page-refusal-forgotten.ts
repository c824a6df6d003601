import type { Mutant } from './mutant.ts'

export default {
  why: 'B55: after a refusal the browser is asked again at once',
  file: 'src/transport/fetch.ts',
  find: '      wasRefused ||= keepalive\n',
  replace: '',
  tests: ['test/transport/fetch.test.ts'],
} satisfies Mutant
