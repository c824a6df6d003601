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
