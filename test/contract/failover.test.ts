import { describe, expect, it, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { type FailoverOptions, failover } from '../../src/fan-out.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { type BlockingAnswer, type BlockingPost, FLUSH_SYNC } from '../../src/spill.ts'
import { ExportError, type ExportResult, type Outcome, type SpanExporter } from '../../src/types.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  failingExporter,
  fakeExporter,
  hangingExporter,
  rejectingExporter,
  retryable,
  scriptedExporter,
  throwingExporter,
  tooLarge,
} from '../helpers/exporters.ts'
import { namesOf } from '../helpers/gates.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { end, endSpans, names, spanNamed, tracerFor } from '../helpers/processors.ts'
import { settledBy } from '../helpers/settling.ts'

const stale: Outcome = {
  kind: 'retryable',
  staleSocket: true,
  error: new ExportError('network', 'the connection was closed'),
}

/** Ends one span and flushes. */
async function sendOne(processor: ReturnType<typeof watchedProcessor>, name: string) {
  end(processor, name)
  return processor.flush()
}

describe.each(EXPORTER_KINDS)('failover between %s and another', (_name, kind) => {
  it('uses the first one while it answers', async () => {
    const [primary, secondary] = [deliveringExporter(kind), deliveringExporter(kind)]
    const processor = watchedProcessor(failover([primary, secondary]), { maxExportBatchSize: 2 })
    end(processor, ...names(5))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 5 })
    expect([primary.names, secondary.names]).toEqual([names(5), []])
  })

  it.each([
    ['throws', throwingExporter],
    ['rejects', rejectingExporter],
    ['refuses', failingExporter],
  ])(
    'one that %s is passed over for probeIntervalMillis, and then asked again',
    async (_what, exporterOf) => {
      vi.useFakeTimers()
      const [primary, secondary] = [exporterOf(kind), deliveringExporter(kind)]
      const processor = watchedProcessor(failover([primary, secondary], { probeIntervalMillis: 1_000 }))

      expect(await sendOne(processor, 'a')).toMatchObject({ status: 'success', exported: 1 })
      await vi.advanceTimersByTimeAsync(999)
      expect(await sendOne(processor, 'b')).toMatchObject({ status: 'success', exported: 1 })
      expect(primary.names).toEqual(['a'])
      await vi.advanceTimersByTimeAsync(1)
      expect(await sendOne(processor, 'c')).toMatchObject({ status: 'success', exported: 1 })

      expect(primary.names).toEqual(['a', 'c'])
      expect(secondary.names).toEqual(['a', 'b', 'c'])
    },
  )

  it('one that hangs has attemptTimeoutMillis, then the next one has the batch', async () => {
    vi.useFakeTimers()
    const [primary, secondary] = [hangingExporter(kind), deliveringExporter(kind)]
    const processor = watchedProcessor(failover([primary, secondary], { attemptTimeoutMillis: 1_000 }))
    end(processor, 'a')

    const flushed = processor.flush({ timeoutMillis: 5_000 })
    await vi.advanceTimersByTimeAsync(999)
    expect(secondary.names).toEqual([])
    expect(await settledBy(flushed, 1)).toMatchObject({ status: 'success', exported: 1 })

    expect([primary.names, secondary.names]).toEqual([['a'], ['a']])
  })

  it('goes back to the first one when it answers again', async () => {
    vi.useFakeTimers()
    const primary = fakeExporter(kind, (_batch, index) => (index === 0 ? 'failed' : 'delivered'))
    const secondary = deliveringExporter(kind)
    const processor = watchedProcessor(failover([primary, secondary]))
    await sendOne(processor, 'a')
    await vi.advanceTimersByTimeAsync(30_000)
    await sendOne(processor, 'b')
    await sendOne(processor, 'c')
    expect([primary.names, secondary.names]).toEqual([['a', 'b', 'c'], ['a']])
  })

  it('one that takes a batch as the last resort is passed over no longer', async () => {
    const primary = fakeExporter(kind, (_batch, index) => (index === 0 ? 'failed' : 'delivered'))
    const secondary = fakeExporter(kind, (_batch, index) => (index === 1 ? 'failed' : 'delivered'))
    const processor = watchedProcessor(failover([primary, secondary]))
    for (const name of ['a', 'b', 'c']) expect(await sendOne(processor, name)).toMatchObject({ exported: 1 })
    expect([primary.names, secondary.names]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b'],
    ])
  })

  it('a batch that all refuse has failed, and none is passed over for it', async () => {
    const answer = ({ names }: { names: string[] }) => (names.includes('bad') ? 'failed' : 'delivered')
    const [primary, secondary] = [fakeExporter(kind, answer), fakeExporter(kind, answer)]
    const processor = watchedProcessor(failover([primary, secondary]))
    expect(await sendOne(processor, 'bad')).toMatchObject({ status: 'failure', failed: 1 })
    expect(await sendOne(processor, 'good')).toMatchObject({ status: 'success', exported: 1 })
    expect([primary.names, secondary.names]).toEqual([['bad', 'good'], ['bad']])
  })
})

describe('failover of encoded batches', () => {
  it('B57: while all are down nothing is lost: the batch waits, and goes to the first that returns', async () => {
    vi.useFakeTimers()
    let isUp = false
    const primary = fakeExporter('encoded', () => retryable())
    const secondary = fakeExporter('encoded', () => (isUp ? 'delivered' : retryable()))
    const processor = watchedProcessor(failover([primary, secondary]), { maxExportBatchSize: 2 })
    end(processor, ...names(4))
    await vi.advanceTimersByTimeAsync(600_000)
    expect(expectBalance(processor)).toMatchObject({ ended: 4, pending: 4, exported: 0, failed: 0 })
    isUp = true
    await vi.advanceTimersByTimeAsync(60_000)
    expect(expectBalance(processor)).toMatchObject({ exported: 4, pending: 0 })
  })

  it('is worth another attempt when any destination may take the batch then', async () => {
    vi.useFakeTimers()
    const refusing = failingExporter('encoded')
    const busy = scriptedExporter([retryable(), 'delivered'])
    const processor = watchedProcessor(failover([refusing, busy]))
    end(processor, 'a')
    expect(await settledBy(processor.flush({ timeoutMillis: 10_000 }), 10_000)).toMatchObject({ exported: 1 })
  })

  it('B33: passes over one for as long as its Retry-After says, and waits for the shortest of all', async () => {
    vi.useFakeTimers()
    const primary = scriptedExporter([retryable(90_000)])
    const secondary = scriptedExporter([retryable(45_000)])
    const options: FailoverOptions = { probeIntervalMillis: 10_000 }
    const processor = watchedProcessor(failover([primary, secondary], options), {
      scheduledDelayMillis: 0,
      exportTimeoutMillis: 0,
    })
    end(processor, 'a')
    await processor.flush({ timeoutMillis: 0 })
    await vi.advanceTimersByTimeAsync(44_999)
    expect([primary.batches.length, secondary.batches.length]).toEqual([1, 1])
    await vi.advanceTimersByTimeAsync(1)
    expect([primary.batches.length, secondary.batches.length]).toEqual([1, 2])
    expect(processor.stats().exported).toBe(1)
  })

  it('B35: a batch that is too large is halved, not passed on', async () => {
    const primary = fakeExporter('encoded', ({ names }) => (names.length > 1 ? tooLarge() : 'delivered'))
    const secondary = deliveringExporter('encoded')
    const processor = watchedProcessor(failover([primary, secondary]))
    end(processor, ...names(4))
    expect(await processor.flush()).toMatchObject({ exported: 4 })
    expect(primary.names).toEqual(expect.arrayContaining(names(4)))
    expect(secondary.names).toEqual([])
  })

  it('B27: a socket that died of old age is worth a second request, not another destination', async () => {
    const primary = scriptedExporter([stale, 'delivered'])
    const secondary = deliveringExporter('encoded')
    const processor = watchedProcessor(failover([primary, secondary]))
    expect(await sendOne(processor, 'a')).toMatchObject({ status: 'success' })
    expect([primary.names, secondary.names]).toEqual([['a', 'a'], []])
  })

  it('leaves each of three its share of an attempt, whatever their own patience', async () => {
    vi.useFakeTimers()
    const exporters = [hangingExporter('encoded'), hangingExporter('encoded'), deliveringExporter('encoded')]
    const processor = watchedProcessor(failover(exporters, { attemptTimeoutMillis: 60_000 }), {
      exportTimeoutMillis: 3_000,
    })
    end(processor, 'a')
    expect(await settledBy(processor.flush({ timeoutMillis: 2_500 }), 2_000)).toMatchObject({ exported: 1 })
    expect(exporters.map(({ batches }) => batches[0]!.attempt?.timeoutMillis)).toEqual([
      expect.closeTo(1_000, -1),
      expect.closeTo(1_000, -1),
      expect.closeTo(1_000, -1),
    ])
    expect(exporters.map(({ batches }) => batches[0]!.attempt?.signal.aborted)).toEqual([true, true, false])
  })

  it('B7: shutdown within its deadline ends the request on the wire, and asks nobody else', async () => {
    vi.useFakeTimers()
    const [primary, secondary] = [hangingExporter('encoded'), deliveringExporter('encoded')]
    const processor = watchedProcessor(failover([primary, secondary]))
    end(processor, 'a')
    await settledBy(processor.shutdown({ timeoutMillis: 500 }), 500)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(primary.batches[0]!.attempt?.signal.aborted).toBe(true)
    expect(secondary.batches).toEqual([])
    expect(expectBalance(processor)).toMatchObject({ dropped: { shutdown_timeout: 1 } })
  })
})

describe('failover', () => {
  it('from a collector that refuses connections to one that is there: all spans arrive, none twice', async () => {
    const [gone, alive] = [await startCollector(), await startCollector()]
    await gone.stop()
    const processor = watchedProcessor(
      failover([new OTLPTraceExporter({ url: gone.url }), new OTLPTraceExporter({ url: alive.url })]),
    )
    endSpans(tracerFor(processor), 1_500)
    expect(await processor.flush({ timeoutMillis: 10_000 })).toMatchObject({
      status: 'success',
      exported: 1_500,
    })
    expect(alive.requests.length).toBe(3)
  })

  it.each<[string, (url: string) => SpanExporter]>([
    ['protobuf', (url) => new OTLPTraceExporter({ url })],
    ['JSON', (url) => new OTLPTraceExporter({ url, encoding: 'json' })],
  ])('from OTLP in %s to lines of JSON: what the collector does not take is written', async (_name, otlp) => {
    const gone = await startCollector()
    await gone.stop()
    const lines: string[] = []
    // With protobuf the queue is one of objects, and the exporter retries on its own before the lines have their turn.
    const processor = watchedProcessor(
      failover([otlp(gone.url), new JsonLinesExporter({ write: (line) => void lines.push(line) })], {
        attemptTimeoutMillis: 200,
      }),
    )
    end(processor, 'a', 'b')
    expect(await processor.flush({ timeoutMillis: 20_000 })).toMatchObject({ status: 'success', exported: 2 })
    expect(lines.join()).toMatch(/"name":"a".*"name":"b"/)
  })

  it.each<[string, BlockingAnswer]>([
    ['does not answer in time', { kind: 'timeout' }],
    ['is not there', { kind: 'failure', error: new Error('ECONNREFUSED') }],
    ['is overloaded', { kind: 'response', status: 503, headers: {}, body: new Uint8Array() }],
    ['refuses it', { kind: 'response', status: 400, headers: {}, body: new Uint8Array() }],
  ])('at the end of a process: where the first one %s the batch goes to the second', (_what, answer) => {
    const requests: { host: string; names: string[]; timeoutMillis: number }[] = []
    const post: BlockingPost = ({ url, body }, timeoutMillis) => {
      const { host } = new URL(url)
      requests.push({ host, names: namesOf(body), timeoutMillis })
      return host === 'primary'
        ? answer
        : { kind: 'response', status: 200, headers: {}, body: new Uint8Array() }
    }
    const [primary, secondary] = ['primary', 'secondary'].map(
      (host) => new OTLPTraceExporter({ url: `http://${host}/v1/traces` }),
    )
    const processor = watchedProcessor(failover([primary!, secondary!]), { maxExportBatchSize: 2 })
    end(processor, ...names(3))

    expect(processor[FLUSH_SYNC](1_000, post)).toMatchObject({ status: 'success', exported: 3, pending: 0 })

    expect(requests.map(({ host, names }) => [host, ...names])).toEqual([
      ['primary', 'span-0', 'span-1'],
      ['secondary', 'span-0', 'span-1'],
      ['secondary', 'span-2'],
    ])
    expect(requests[0]!.timeoutMillis).toBeLessThanOrEqual(500)
  })

  it('at the end of a process: one that cannot be used then is left out, and nothing is lost if none can', () => {
    const hosts: string[] = []
    const post: BlockingPost = ({ url }) => {
      hosts.push(new URL(url).host)
      return { kind: 'response', status: 200, headers: {}, body: new Uint8Array() }
    }
    const blocked = new OTLPTraceExporter({ url: 'http://primary/v1/traces', fetch })
    const usable = new OTLPTraceExporter({ url: 'http://secondary/v1/traces' })
    const mixed = watchedProcessor(failover([blocked, usable]))
    end(mixed, 'a')
    expect(mixed[FLUSH_SYNC](1_000, post)).toMatchObject({ status: 'success', exported: 1 })
    expect(hosts).toEqual(['secondary'])

    const alone = watchedProcessor(failover([blocked, deliveringExporter('encoded')]))
    end(alone, 'b')
    expect(alone[FLUSH_SYNC](1_000, post)).toMatchObject({ status: 'failure', pending: 1 })
    expect(hosts).toEqual(['secondary'])
  })

  it('alone, like every SpanExporter: the result says whether anybody took the spans', async () => {
    const exportAlone = (exporter: SpanExporter): Promise<ExportResult> =>
      new Promise((resolve) => exporter.export([spanNamed('a')], resolve))
    expect(await exportAlone(failover([failingExporter('stock'), deliveringExporter('stock')]))).toEqual({
      code: 0,
    })
    expect(await exportAlone(failover([failingExporter('stock'), failingExporter('stock')]))).toMatchObject({
      code: 1,
      error: { code: 'exporter_failed' },
    })
  })

  it.each<[string, FailoverOptions | object | null]>([
    ['failover: options must be an object, not null', null],
    [
      'failover: probeIntervalMillis must be a number from 0 to 2147483647, not -1',
      { probeIntervalMillis: -1 },
    ],
    [
      'failover: probeIntervalMillis must be a number from 0 to 2147483647, not "1"',
      { probeIntervalMillis: '1' },
    ],
    [
      'failover: attemptTimeoutMillis must be a number from 1 to 2147483647, not 0',
      { attemptTimeoutMillis: 0 },
    ],
    [
      'failover: attemptTimeoutMillis must be a number from 1 to 2147483647, not NaN',
      { attemptTimeoutMillis: Number.NaN },
    ],
  ])('B48: %s', (message, options) => {
    expect(() => failover([deliveringExporter('stock')], options as FailoverOptions)).toThrow(message)
  })
})
