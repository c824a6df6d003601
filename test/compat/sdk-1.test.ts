import { testWithSdk } from './sdk-suite.ts'

testWithSdk({
  project: 'sdk-1',
  name: '1.30',
  packages: ['sdk-trace-node', 'sdk-node', 'instrumentation-http', 'api'],
})
