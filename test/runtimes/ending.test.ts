import { fileURLToPath } from 'node:url'
import { describeEnding } from '../helpers/ending-suite.ts'

// The oldest that package.json allows has no `Symbol.dispose`.
for (const fixture of ['node-20', 'node-22', 'node-24', 'node-26']) {
  const path = fileURLToPath(new URL(`fixtures/${fixture}/node_modules/node/bin/node`, import.meta.url))
  describeEnding(path, fixture)
}
