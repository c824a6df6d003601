import { BatchSpanProcessor as StockProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { failover, fanOut } from '../../src/fan-out.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { ExportResult, SpanExporter } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  failingExporter,
  fakeExporter,
  gatedExporter,
  hangingExporter,
  rejectingExporter,
  retryable,
  throwingExporter,
} from '../helpers/exporters.ts'
import { droppedIn, expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { end, endSpans, names, spanNamed, tracerFor } from '../helpers/processors.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

function exportAlone(exporter: SpanExporter): Promise<ExportResult> {
  return new Promise((resolve) => exporter.export([spanNamed('a'), spanNamed('b')], resolve))
}

describe.each(EXPORTER_KINDS)('fanOut to %s and others', (_name, kind) => {
  it('gives every span to each destination, in order', async () => {
    const exporters = [deliveringExporter(kind), deliveringExporter('stock'), deliveringExporter('encoded')]
    const processor = watchedProcessor(fanOut(exporters), { maxExportBatchSize: 2 })

    end(processor, ...names(5))
    const result = await processor.flush()

    for (const exporter of exporters) expect(exporter.names).toEqual(names(5))
    expect(result).toMatchObject({ status: 'success', exported: 15, pending: 0 })
    expect(result.destinations).toMatchObject([{ exported: 5 }, { exported: 5 }, { exported: 5 }])
    expect(expectBalance(processor)).toMatchObject({ ended: 15, exported: 15 })
  })

  it('one that hangs holds up no other: only its own spans stay pending, and its own queue overflows', async () => {
    vi.useFakeTimers()
    const slow = hangingExporter(kind)
    const fast = deliveringExporter('encoded')
    const options = { maxExportBatchSize: 2, maxQueueSize: 4 }
    const processor = watchedProcessor(fanOut([slow, fast]), options)

    for (let i = 0; i < 10; i++) {
      end(processor, `span-${i * 2}`, `span-${i * 2 + 1}`)
      await microtasks()
    }

    expect(fast.names).toEqual(names(20))
    expect(slow.batches).toHaveLength(1)
    const stats = expectBalance(processor)
    expect(stats).toMatchObject({ ended: 40, exported: 20, pending: 6, dropped: { queue_full: 14 } })
    expect(stats.destinations).toMatchObject([
      { ended: 20, exported: 0, pending: 6, inFlight: 2, dropped: { queue_full: 14 } },
      { ended: 20, exported: 20, pending: 0, inFlight: 0, dropped: { queue_full: 0 } },
    ])
    for (const destination of stats.destinations ?? []) expectBalance({ stats: () => destination })
  })

  it('a flush settles when every destination has, and says what became of the spans at each', async () => {
    const slow = gatedExporter(kind)
    const processor = watchedProcessor(fanOut([deliveringExporter('encoded'), slow]))
    end(processor, 'a', 'b')

    const flushed = processor.flush()
    await slow.whenBatches(1)
    expect(await hasSettled(flushed)).toBe(false)
    slow.batches[0]!.release('failed')

    expect(await flushed).toMatchObject({
      status: 'failure',
      exported: 2,
      failed: 2,
      destinations: [
        { status: 'success', exported: 2, failed: 0 },
        { status: 'failure', exported: 0, failed: 2, error: expect.anything() },
      ],
      error: expect.anything(),
    })
  })

  it('B8: one that never answers ends the flush at its deadline, with what is pending there', async () => {
    vi.useFakeTimers()
    const processor = watchedProcessor(fanOut([failingExporter('encoded'), hangingExporter(kind)]))
    end(processor, 'a', 'b')

    const result = await settledBy(processor.flush({ timeoutMillis: 500 }), 500)

    expect(result).toMatchObject({ status: 'timeout', failed: 2, pending: 2, error: { code: 'timeout' } })
    expect(result.destinations).toMatchObject([{ status: 'failure' }, { status: 'timeout', pending: 2 }])
  })

  it('B11: shutdown sends what waits everywhere, shuts each exporter down once, and refuses what comes later', async () => {
    const exporters = [deliveringExporter(kind), failingExporter('encoded')]
    const processor = watchedProcessor(fanOut(exporters))
    end(processor, 'a')

    await Promise.all([processor.shutdown(), processor.shutdown()])
    end(processor, 'late')

    expect(exporters.map(({ shutdowns }) => shutdowns)).toEqual([1, 1])
    expect(exporters.map((exporter) => exporter.names)).toEqual([['a'], ['a']])
    const { destinations } = expectBalance(processor)
    expect(destinations).toMatchObject([
      { ended: 2, exported: 1, dropped: { already_shutdown: 1 } },
      { ended: 2, failed: 1, dropped: { already_shutdown: 1 } },
    ])
  })
})

describe('fanOut', () => {
  it('B38: each destination has its own breaker: one that is down is asked no more, the other goes on', async () => {
    vi.useFakeTimers()
    const down = fakeExporter('encoded', () => retryable())
    const up = deliveringExporter('encoded')
    const processor = watchedProcessor(fanOut([down, up]), {
      maxExportBatchSize: 1,
      retry: { initialBackoffMillis: 0, jitter: 0 },
      circuitBreaker: { failureThreshold: 3, probeIntervalMillis: 60_000 },
    })
    for (let i = 0; i < 20; i++) {
      end(processor, `span-${i}`)
      await vi.advanceTimersByTimeAsync(100)
    }

    expect(down.batches).toHaveLength(3)
    expect(up.names).toEqual(names(20))
    expect(await processor.flush()).toMatchObject({
      destinations: [{ status: 'failure', pending: 20, error: { code: 'circuit_open' } }, { pending: 0 }],
    })
  })

  it('sends OTLP to two collectors: both have every span', async () => {
    const collectors = [await startCollector(), await startCollector()]
    const exporters = collectors.map(({ url }) => new OTLPTraceExporter({ url }))
    const processor = watchedProcessor(fanOut(exporters))
    endSpans(tracerFor(processor), 1_000)

    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 2_000 })
    for (const { requests } of collectors) {
      const spans = requests.flatMap(({ body }) =>
        decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
          scopeSpans.flatMap((each) => each.spans),
        ),
      )
      expect(new Set(spans.map(({ name }) => name)).size).toBe(1_000)
    }
  })

  it('may hold another fanOut, and a failover', async () => {
    const [a, b, c] = [
      deliveringExporter('stock'),
      deliveringExporter('encoded'),
      deliveringExporter('encoded'),
    ]
    const processor = watchedProcessor(fanOut([fanOut([a, b]), failover([throwingExporter('encoded'), c])]))
    end(processor, 'x')

    const result = await processor.flush()

    expect([a.names, b.names, c.names]).toEqual([['x'], ['x'], ['x']])
    expect(result.destinations).toMatchObject([{ exported: 2, destinations: [{}, {}] }, { exported: 1 }])
    expect(expectBalance(processor)).toMatchObject({ ended: 3, exported: 3 })
  })

  it('under a stock processor has exported when all have, and has failed when one has', async () => {
    const exporters = [
      deliveringExporter('stock'),
      deliveringExporter('stock', { forceFlush: async () => {} }),
    ]
    const exporter = fanOut(exporters)
    const stock = new StockProcessor(exporter)
    endSpans(tracerFor(stock), 3)
    await stock.forceFlush()
    await exporter.forceFlush?.()
    await stock.shutdown()

    expect(exporters.map((exporter) => exporter.names)).toEqual([names(3), names(3)])
    expect(exporters.map(({ shutdowns }) => shutdowns)).toEqual([1, 1])
    expect(exporters[1]!.flushes).toBe(1)
    expect(await exportAlone(fanOut([deliveringExporter('stock'), failingExporter('stock')]))).toMatchObject({
      code: 1,
    })
  })

  it.each([
    ['throws', throwingExporter],
    ['rejects', rejectingExporter],
  ])(
    'B28: under a stock processor one that %s fails the export, once, and the others have it',
    async (_what, exporterOf) => {
      const other = deliveringExporter('stock')
      expect(await exportAlone(fanOut([exporterOf('stock'), other]))).toMatchObject({ code: 1 })
      expect(other.names).toEqual(['a', 'b'])
    },
  )

  it('B28: a result callback that throws breaks nothing', async () => {
    const lines = captureDiag()
    fanOut([deliveringExporter('stock')]).export([spanNamed('a')], () => {
      throw new Error('thrown by the callback')
    })
    await microtasks()
    expect(lines.join()).toContain('the result callback failed: Error: thrown by the callback')
  })
})

describe.each([
  ['fanOut', fanOut],
  ['failover', failover],
])('%s', (name, make) => {
  const exporter = deliveringExporter('stock')
  it.each<[string, unknown]>([
    [`${name}: exporters must be an array of exporters, not an empty array`, []],
    [`${name}: exporters must be an array of exporters, not undefined`, undefined],
    [`${name}: exporters must be an array of exporters, not [object Object]`, exporter],
    [`${name}: exporters[1] must be a SpanExporter, not undefined`, [exporter, undefined]],
    [`${name}: exporters[0] must be a SpanExporter, not "console"`, ['console']],
    [`${name}: exporters[1] is exporters[0] again`, [exporter, exporter]],
  ])('B48: %s', (message, exporters) => {
    expect(() => make(exporters as SpanExporter[])).toThrow(new TypeError(message))
  })

  it('B10: flush and shutdown never reject, whatever the exporters do', async () => {
    const reject = async () => {
      throw new Error('rejected')
    }
    const exporters = EXPORTER_KINDS.flatMap(([, kind]) => [
      rejectingExporter(kind, { forceFlush: reject, shutdown: reject }),
      throwingExporter(kind, { forceFlush: reject, shutdown: reject }),
    ])
    const processor = watchedProcessor(make(exporters), { circuitBreaker: false })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ status: 'failure', exported: 0 })
    await processor.shutdown()
    expect(droppedIn(expectBalance(processor))).toBe(0)
    expect(exporters.map(({ shutdowns }) => shutdowns)).toEqual(exporters.map(() => 1))
  })

  it('hands lines of OTLP JSON and requests of OTLP JSON on alike', async () => {
    const collector = await startCollector()
    const lines: string[] = []
    const exporters = [
      new OTLPTraceExporter({ url: collector.url, encoding: 'json' }),
      new JsonLinesExporter({ write: (line) => void lines.push(line) }),
    ]
    const processor = watchedProcessor(make(exporters))
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ status: 'success' })
    expect(collector.requests).toHaveLength(1)
    expect(lines).toHaveLength(name === 'fanOut' ? 1 : 0)
  })
})
