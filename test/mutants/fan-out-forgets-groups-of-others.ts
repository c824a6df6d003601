import type { Mutant } from './mutant.ts'

export default {
  why: 'fanOut: scopes are forgotten that another destination still holds',
  file: 'src/exporters/shared-encoder.ts',
  find: 'for (const groups of this.#groups) for (const group of groups) all.add(group)',
  replace: 'for (const group of live) all.add(group)',
  tests: ['test/contract/fan-out-encoding.test.ts'],
} satisfies Mutant
