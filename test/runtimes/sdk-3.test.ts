/** The suite that SDK 1.30 and 2.12 pass in test/contract, with SDK 3.x, whose peers exclude theirs. */
import { createRequire } from 'node:module'
import { context } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { suppressTracing } from '../../src/pipeline/suppress.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import { CONTEXT_MANAGERS, useContextManager } from '../helpers/context-managers.ts'
import { type Provider, testUnderProvider } from '../helpers/provider-suite.ts'

interface Sdk3 {
  readonly TracerProvider: new (options: { spanProcessors: BatchSpanProcessor[] }) => Provider
}

interface Core3 {
  isTracingSuppressed(active: unknown): boolean
  readonly ExportResultCode: { SUCCESS: number; FAILED: number }
}

const require = createRequire(new URL('fixtures/sdk-3/package.json', import.meta.url))
const { TracerProvider } = require('@opentelemetry/sdk-trace') as Sdk3
const core = require('@opentelemetry/core') as Core3

testUnderProvider('SDK 3.1', (processor) => new TracerProvider({ spanProcessors: [processor] }))

test('B29: the suppression key and the result codes that our code states are those of @opentelemetry/core 3.x', () => {
  useContextManager(CONTEXT_MANAGERS[1]![1]())
  expect(core.isTracingSuppressed(context.active())).toBe(false)
  expect(suppressTracing(() => core.isTracingSuppressed(context.active()))).toBe(true)
  expect(core.ExportResultCode).toMatchObject({ SUCCESS: 0, FAILED: 1 })
})
