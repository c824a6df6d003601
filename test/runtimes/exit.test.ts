import { fileURLToPath } from 'node:url'
import { describeExit } from '../helpers/exit-suite.ts'

for (const fixture of ['node-20', 'node-22', 'node-24', 'node-26']) {
  const path = fileURLToPath(new URL(`fixtures/${fixture}/node_modules/node/bin/node`, import.meta.url))
  describeExit(path, fixture)
}
