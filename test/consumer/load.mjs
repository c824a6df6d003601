/** `import('tailrace')`, as a user has it: from `dist`, by the exports of package.json. */
import { deepEqual } from 'node:assert/strict'

const tailrace = await import('tailrace')

deepEqual(Object.keys(tailrace).sort(), [
  'BatchSpanProcessor',
  'ExportError',
  'InMemorySpanExporter',
  'JsonLinesExporter',
  'OTLPTraceExporter',
])
const processor = new tailrace.BatchSpanProcessor(new tailrace.OTLPTraceExporter())
await processor.shutdown()

deepEqual(Object.keys(await import('tailrace/cloudflare')).sort(), [
  'flushOnWaitUntil',
  'wrapDurableObject',
  'wrapHandler',
])
deepEqual(Object.keys(await import('tailrace/next')).sort(), ['flushEachRequest', 'wrapHandler'])
deepEqual(Object.keys(await import('tailrace/vercel')).sort(), ['flushEachRequest', 'wrapHandler'])
deepEqual(Object.keys(await import('tailrace/testing')).sort(), [
  'FakePlatform',
  'InMemoryCollector',
  'expectBalanced',
  'expectDelivered',
  'fakeLambdaContext',
])
for (const [subpath, names] of Object.entries({
  express: ['flushAfterResponse'],
  fastify: ['flushAfterResponse'],
  hono: ['flushAfterResponse'],
  koa: ['flushAfterResponse'],
  node: ['flushBeforeExit', 'shutdownOnSignal'],
})) {
  const entry = await import(`tailrace/${subpath}`)
  deepEqual(Object.keys(entry).sort(), names)
}
])
const lambda = await import('tailrace/lambda')
deepEqual(Object.keys(lambda).sort(), ['registerExtension', 'wrapHandler'])
const wrapped = lambda.wrapHandler(async () => 'value', { processor })
deepEqual(await wrapped(), 'value')
// Outside Lambda there is nothing to register with.
deepEqual(await import('tailrace/lambda/extension').then((preload) => preload.isRegistered), false)
