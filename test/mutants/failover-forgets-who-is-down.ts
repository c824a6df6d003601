import type { Mutant } from './mutant.ts'

export default {
  why: 'failover: one that failed is asked first again',
  file: 'src/exporters/failover.ts',
  find: '    this.#downUntil.set(sender, monotonicNow() + Math.max(probeIntervalMillis, retryAfterMillis))\n',
  replace: '',
  tests: ['test/contract/failover.test.ts'],
} satisfies Mutant
