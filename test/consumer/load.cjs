/** `require('tailrace')`, as a user has it: from `dist`, by the exports of package.json. */
const { deepEqual } = require('node:assert/strict')
const tailrace = require('tailrace')

deepEqual(Object.keys(tailrace).sort(), [
  'BatchSpanProcessor',
  'ExportError',
  'InMemorySpanExporter',
  'JsonLinesExporter',
  'OTLPProtobufTraceExporter',
  'OTLPTraceExporter',
])
const processor = new tailrace.BatchSpanProcessor(new tailrace.OTLPTraceExporter())
processor.shutdown()

// Shared code must not end up in another entry.
const loaded = Object.keys(require.cache).map((path) => path.replace(/^.*\/dist\//, ''))
deepEqual(
  loaded.filter((path) => /^(lifecycle\/)?\w+\.cjs$/.test(path)),
  ['index.cjs'],
)

const SUBPATHS = {
  browser: ['flushOnPageHide'],
  cloudflare: ['flushOnWaitUntil', 'wrapDurableObject', 'wrapHandler'],
  express: ['flushAfterResponse'],
  'fan-out': ['failover', 'fanOut'],
  fastify: ['flushAfterResponse'],
  hono: ['flushAfterResponse'],
  kafka: ['KafkaTraceExporter'],
  koa: ['flushAfterResponse'],
  lambda: ['registerExtension', 'wrapHandler'],
  next: ['flushEachRequest', 'wrapHandler'],
  node: ['flushBeforeExit', 'flushOnExit', 'flushSync', 'shutdownOnSignal'],
  spool: ['spool'],
  testing: ['FakePlatform', 'InMemoryCollector', 'expectBalanced', 'expectDelivered', 'fakeLambdaContext'],
  vercel: ['flushEachRequest', 'wrapHandler'],
}

for (const [subpath, names] of Object.entries(SUBPATHS)) {
  deepEqual(Object.keys(require(`tailrace/${subpath}`)).sort(), names)
}
require('tailrace/lambda').wrapHandler(async () => 'value', { processor })
// Outside Lambda there is nothing to register with.
deepEqual(require('tailrace/lambda/extension').isRegistered, false)
