import { testWithSdk } from './sdk-suite.ts'

testWithSdk({
  project: 'sdk-2',
  name: '2.12',
  packages: ['sdk-trace-node', 'sdk-node', 'instrumentation-http', 'api'],
})
