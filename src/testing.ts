/**
 * A kit for testing what becomes of spans: a collector in memory that fails on command, the request and function
 * contexts of platforms with their limits, and assertions on the ledger. Works with any test runner. It imports
 * `node:async_hooks`, so it runs on Node, Bun and Deno, and in workerd with `nodejs_compat`.
 */
export {
  type CollectedRequest,
  type CollectorAnswer,
  InMemoryCollector,
} from './testing/collector.ts'
export {
  type FakeLambdaContext,
  fakeLambdaContext,
  type LambdaContextOptions,
} from './testing/lambda-context.ts'
export { expectBalanced, expectDelivered, type Ledger } from './testing/ledger.ts'
export {
  type FakeContext,
  FakePlatform,
  type FakePlatformOptions,
  type FakeRequest,
  type RequestEnd,
} from './testing/platform.ts'
export type { CollectedEvent, CollectedLink, CollectedSpan } from './testing/spans.ts'
