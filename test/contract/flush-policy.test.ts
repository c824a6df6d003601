/** `forceFlush` without options, where a lifecycle helper watches over the invocation. */
import { afterEach, expect, test } from 'vitest'
import type { FlushAllowance } from '../../src/flush-policy.ts'
import type { FlushOptions } from '../../src/types.ts'
import { gatedExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end } from '../helpers/processors.ts'
import { hasSettled } from '../helpers/settling.ts'

const POLICY = Symbol.for('tailrace.flush-policy')
const host = globalThis as { [POLICY]?: unknown }

function allow(policy: () => FlushAllowance | undefined): void {
  host[POLICY] = policy
}

afterEach(() => {
  delete host[POLICY]
})

test.each([
  { allowed: 100, flushTimeoutMillis: 5000, expected: 100 },
  { allowed: 60_000, flushTimeoutMillis: 200, expected: 200 },
  { allowed: 0, flushTimeoutMillis: 5000, expected: 0 },
])(
  'B50: forceFlush without options takes no longer than the host allows ($allowed ms), nor than its own default ($flushTimeoutMillis ms)',
  async ({ allowed, flushTimeoutMillis, expected }) => {
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { flushTimeoutMillis })
    end(processor, 'a')
    allow(() => ({ timeoutMillis: allowed }))
    const startedAt = performance.now()
    await processor.forceFlush()
    const durationMillis = performance.now() - startedAt
    expect(durationMillis).toBeGreaterThanOrEqual(expected - 2)
    expect(durationMillis).toBeLessThan(expected + 2500)
    exporter.batches[0]!.release()
  },
)

test('B50: a forceFlush that is deferred resolves at once, and is whoever took it over to run', async () => {
  const exporter = gatedExporter('encoded')
  const processor = watchedProcessor(exporter)
  const deferred: ((options: FlushOptions) => Promise<unknown>)[] = []
  allow(() => ({ timeoutMillis: 1000, defer: (flush) => deferred.push(flush) }))
  end(processor, 'a')
  expect(await hasSettled(processor.forceFlush())).toBe(true)
  expect(exporter.batches).toHaveLength(0)
  const flushed = deferred[0]!({ timeoutMillis: 1000 })
  expect(exporter.names).toEqual(['a'])
  exporter.batches[0]!.release()
  expect(await flushed).toMatchObject({ status: 'success', exported: 1 })
})

test.each([
  ['options are given', () => ({ timeoutMillis: 0, defer() {} }), {}],
  ['no invocation is active', () => undefined, undefined],
  [
    'the policy throws',
    () => {
      throw new Error('not ours')
    },
    undefined,
  ],
])('B50: forceFlush waits as ever when %s', async (_, policy, options) => {
  const exporter = gatedExporter('encoded')
  const processor = watchedProcessor(exporter)
  allow(policy)
  end(processor, 'a')
  const flushed = processor.forceFlush(options)
  expect(await hasSettled(flushed)).toBe(false)
  exporter.batches[0]!.release()
  await flushed
})
