import { fileURLToPath } from 'node:url'
import { describeFreezing } from '../helpers/freeze-suite.ts'

describeFreezing(fileURLToPath(new URL('fixtures/node-24/node_modules/node/bin/node', import.meta.url)))
