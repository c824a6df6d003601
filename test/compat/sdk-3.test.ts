import { testWithSdk } from './sdk-suite.ts'

testWithSdk({
  project: 'sdk-3',
  name: '3.1',
  packages: ['sdk-trace', 'sdk-node', 'instrumentation-http', 'api'],
  node: 24,
})
