/** What ends between two invocations of a function, when nobody flushes any more. */
import { describe, expect, it } from 'vitest'
import { JsonLinesExporter, OTLPTraceExporter } from '../../src/index.ts'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import { INVOCATION } from '../../src/request.ts'
import type { SpanExporter } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { spanNamed } from '../helpers/processors.ts'

const accept: typeof fetch = async () => new Response(null, { status: 200 })

/** Every kind of queue, with a format of ours where spans are encoded. */
const PIPELINES: [string, () => SpanExporter, BatchSpanProcessorOptions][] = [
  ['spans encoded as protobuf', () => new OTLPTraceExporter({ fetch: accept }), {}],
  ['spans encoded as JSON', () => new JsonLinesExporter({ write() {} }), {}],
  ['spans encoded late', () => new OTLPTraceExporter({ fetch: accept }), { encodeAt: 'flush' }],
  ['spans as objects', () => deliveringExporter('stock'), {}],
]

function endIn(processor: BatchSpanProcessor, scope: string): void {
  processor.onEnd(spanNamed('span', { instrumentationScope: { name: scope } }))
}

describe.each(PIPELINES)('%s', (_name, createExporter, options) => {
  it('B61: spans that ended after the last flush of an invocation are reported at the next one, by scope', async () => {
    const lines = captureDiag()
    const processor = watchedProcessor(createExporter(), { scheduledDelayMillis: 0, ...options })
    processor[INVOCATION]('start')
    endIn(processor, 'in time')
    await processor.flush()
    processor[INVOCATION]('end')
    endIn(processor, 'cache')
    endIn(processor, 'queue')
    endIn(processor, 'cache')
    processor[INVOCATION]('start')
    endIn(processor, 'of the next')
    expect(lines).toEqual([])
    await processor.flush()
    expect(lines).toEqual([
      'tailrace: 3 spans ended after the last flush of an invocation and waited for the next one: cache (2), queue (1)',
    ])
    processor[INVOCATION]('end')
  })

  it('B61: nothing is said when every span is flushed in its own invocation', async () => {
    const lines = captureDiag()
    const processor = watchedProcessor(createExporter(), { scheduledDelayMillis: 0, ...options })
    for (let i = 0; i < 3; i++) {
      processor[INVOCATION]('start')
      endIn(processor, 'in time')
      await processor.flush()
      processor[INVOCATION]('end')
    }
    expect(lines).toEqual([])
  })
})

it('B61: a line names five scopes at most, and a span that cannot be looked at costs nothing', async () => {
  const lines = captureDiag()
  const exporter = deliveringExporter('stock')
  const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0 })
  processor[INVOCATION]('end')
  for (let i = 0; i < 8; i++) endIn(processor, `scope ${i}`)
  processor[INVOCATION]('start')
  await processor.flush()
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^tailrace: 8 spans .*: scope 0 \(1\), .*scope 4 \(1\) and others$/)
  processor[INVOCATION]('end')
  processor.onEnd(
    spanNamed('hostile', {
      get instrumentationScope(): never {
        throw new Error('thrown by a getter')
      },
    }),
  )
  processor[INVOCATION]('start')
  await processor.flush()
  expect(exporter.names).toHaveLength(9)
})
