import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushOnExit, flushSync } from 'tailrace/node'
import { expect, test } from 'vitest'
import { describeExit } from '../helpers/exit-suite.ts'

describeExit(process.execPath, `Node ${process.versions.node}`)

const processor = new BatchSpanProcessor(new OTLPTraceExporter())

test.each<[string, () => unknown, RegExp]>([
  [
    'nothing',
    () => flushOnExit(undefined as never),
    /flushOnExit: processor must be tailrace's .*, not undefined/,
  ],
  [
    'a provider',
    () => flushSync(new BasicTracerProvider() as never),
    /flushSync: processor must be tailrace's/,
  ],
  [
    'a negative time',
    () => flushOnExit(processor, { timeoutMillis: -1 }),
    /flushOnExit: timeoutMillis must be .* not -1/,
  ],
  [
    'a text',
    () => flushSync(processor, { timeoutMillis: '1' as never }),
    /flushSync: timeoutMillis must be .*, not "1"/,
  ],
])('B48: %s is an error that names option and value', (_what, call, message) => {
  expect(call).toThrow(message)
  expect(process.listeners('exit').filter(({ name }) => name === 'listener')).toEqual([])
})
