import type { Mutant } from './mutant.ts'

export default {
  why: 'B51: a flush reports success while another request still has its spans on the wire',
  file: 'src/pipeline/request-drain.ts',
  find: 'for (const { lease } of active) if (lease.firstSequence <= watermark) return false',
  replace: '',
  tests: ['test/contract/request-scoped.test.ts', 'test/model/requests.test.ts'],
} satisfies Mutant
