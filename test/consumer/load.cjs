/** `require('tailrace')`, as a user has it: from `dist`, by the exports of package.json. */
const { deepEqual } = require('node:assert/strict')
const tailrace = require('tailrace')

deepEqual(Object.keys(tailrace).sort(), [
  'BatchSpanProcessor',
  'ExportError',
  'InMemorySpanExporter',
  'JsonLinesExporter',
  'OTLPTraceExporter',
])
const processor = new tailrace.BatchSpanProcessor(new tailrace.OTLPTraceExporter())
processor.shutdown()

deepEqual(Object.keys(require('tailrace/cloudflare')).sort(), [
  'flushOnWaitUntil',
  'wrapDurableObject',
  'wrapHandler',
])
deepEqual(Object.keys(require('tailrace/next')).sort(), ['flushEachRequest', 'wrapHandler'])
deepEqual(Object.keys(require('tailrace/vercel')).sort(), ['flushEachRequest', 'wrapHandler'])
deepEqual(Object.keys(require('tailrace/testing')).sort(), [
  'FakePlatform',
  'InMemoryCollector',
  'expectBalanced',
  'expectDelivered',
  'fakeLambdaContext',
])
// Shared code must not end up in another entry.
const loaded = Object.keys(require.cache).map((path) => path.replace(/^.*\/dist\//, ''))
deepEqual(
  loaded.filter((path) => /^(lifecycle\/)?\w+\.cjs$/.test(path)),
  ['index.cjs'],
)

for (const [subpath, names] of Object.entries({
  express: ['flushAfterResponse'],
  fastify: ['flushAfterResponse'],
  hono: ['flushAfterResponse'],
  koa: ['flushAfterResponse'],
  node: ['flushBeforeExit', 'shutdownOnSignal'],
})) {
  const entry = require(`tailrace/${subpath}`)
  deepEqual(Object.keys(entry).sort(), names)
}
])
const lambda = require('tailrace/lambda')
deepEqual(Object.keys(lambda).sort(), ['registerExtension', 'wrapHandler'])
lambda.wrapHandler(async () => 'value', { processor })
// Outside Lambda there is nothing to register with.
deepEqual(require('tailrace/lambda/extension').isRegistered, false)
