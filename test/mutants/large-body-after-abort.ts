import type { Mutant } from './mutant.ts'

export default {
  why: 'B34: a large body leaves after the abort',
  file: 'src/transport/node-http.ts',
  find: 'if (!request.destroyed) request.end(body)',
  replace: 'request.end(body)',
  tests: ['test/transport/node-http.test.ts'],
} satisfies Mutant
