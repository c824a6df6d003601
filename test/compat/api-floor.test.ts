import { testWithSdk } from './sdk-suite.ts'

// The lower end of `peerDependencies`.
testWithSdk({
  project: 'api-floor',
  sdk: 'sdk-1',
  name: '1.30 with API 1.3',
  packages: ['api', 'sdk-trace-node', 'instrumentation-http'],
  isTracingOnly: true,
})
