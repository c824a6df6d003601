/** `import('tailrace')`, as a user has it: from `dist`, by the exports of package.json. */
import { deepEqual, equal } from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'

const tailrace = await import('tailrace')

deepEqual(Object.keys(tailrace).sort(), [
  'BatchSpanProcessor',
  'ExportError',
  'InMemorySpanExporter',
  'JsonLinesExporter',
  'OTLPProtobufTraceExporter',
  'OTLPTraceExporter',
])
const processor = new tailrace.BatchSpanProcessor(new tailrace.OTLPTraceExporter())
await processor.shutdown()

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
  deepEqual(Object.keys(await import(`tailrace/${subpath}`)).sort(), names)
}
const lambda = await import('tailrace/lambda')
deepEqual(await lambda.wrapHandler(async () => 'value', { processor })(), 'value')
// Outside Lambda there is nothing to register with.
deepEqual(await import('tailrace/lambda/extension').then((preload) => preload.isRegistered), false)

// One character beyond ASCII, and V8 takes a tenth more time to import the whole file.
const folder = new URL('.', import.meta.resolve('tailrace'))
for (const name of await readdir(folder, { recursive: true })) {
  if (!/\.c?js$/.test(name)) continue
  const [beyond] = /[^\0-\x7f]/.exec(await readFile(new URL(name, folder), 'utf8')) ?? []
  equal(beyond, undefined, `dist/${name} has a character beyond ASCII`)
}
