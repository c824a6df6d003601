import { setImmediate as turn } from 'node:timers/promises'
import { DiagLogLevel, diag } from '@opentelemetry/api'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { InMemorySpanExporter } from '../../src/exporters/in-memory.ts'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { ExportResult, ReadableSpan, SpanExporter } from '../../src/types.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import {
  deliveringExporter,
  EXPORTER_KINDS,
  failingExporter,
  gatedExporter,
  hangingExporter,
  rejectingExporter,
  synchronousExporter,
  throwingExporter,
  twiceCallingExporter,
} from '../helpers/exporters.ts'
import { namesOf } from '../helpers/gates.ts'
import { expectBalance, watchedProcessor } from '../helpers/ledger.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeJson } from '../helpers/otlp-schema.ts'
import { end, endSpans, names, spanNamed, tracerFor } from '../helpers/processors.ts'
import { microtasks, settledBy } from '../helpers/settling.ts'

/** What a stock exporter's callback is called with. */
function exportAlone(exporter: SpanExporter, spans: ReadableSpan[]): Promise<ExportResult> {
  return new Promise((resolve) => exporter.export(spans, resolve))
}

describe.each(EXPORTER_KINDS)('%s that misbehaves', (_name, kind) => {
  it.each([
    ['throws', throwingExporter],
    ['rejects', rejectingExporter],
    ['fails', failingExporter],
  ])('B28: one that %s gets each batch once, and the batch is failed', async (_what, exporterOf) => {
    const exporter = exporterOf(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(6))
    expect(await processor.flush()).toMatchObject({ status: 'failure', failed: 6, exported: 0, pending: 0 })
    expect(exporter.names).toEqual(names(6))
    expect(exporter.mostRunning).toBe(1)
    end(processor, 'usable')
    expect(await processor.flush()).toMatchObject({ failed: 1, pending: 0 })
  })

  it('B28: one that never answers holds one batch; no other export begins while it may still be running', async () => {
    vi.useFakeTimers()
    const exporter = hangingExporter(kind)
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2, exportTimeoutMillis: 10_000 })
    end(processor, ...names(6))
    await vi.advanceTimersByTimeAsync(14_999)
    expect(exporter.batches).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(5_001)
    expect(exporter.batches.length).toBeGreaterThan(1)
    expectBalance(processor)
  })
})

describe('a stock exporter that misbehaves', () => {
  it('B28: one that calls back twice: the first call counts', async () => {
    const exporter = twiceCallingExporter()
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(4))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 4, failed: 0 })
    expect(processor.stats()).toMatchObject({ exported: 4, failed: 0 })
  })

  it('B28: one that calls back after the deadline: its batch has failed, and the next one begins then', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter('stock')
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2, exportTimeoutMillis: 10_000 })
    end(processor, ...names(4))
    await vi.advanceTimersByTimeAsync(12_000)
    expect(processor.stats()).toMatchObject({ failed: 2, exported: 0, pending: 2 })
    expect(exporter.batches).toHaveLength(1)
    exporter.batches[0]!.release()
    await microtasks()
    expect(exporter.batches).toHaveLength(2)
    expect(processor.stats()).toMatchObject({ failed: 2, exported: 0, pending: 2 })
    exporter.batches[1]!.release()
    await microtasks()
    expect(processor.stats()).toMatchObject({ failed: 2, exported: 2, pending: 0 })
  })

  it('B24, B28: one that calls back after the deadline leaves no timer behind', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter('stock')
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0, exportTimeoutMillis: 10_000 })
    end(processor, 'a')
    processor.flush({ timeoutMillis: 1_000 })
    await vi.advanceTimersByTimeAsync(11_000)
    expect(processor.stats()).toMatchObject({ failed: 1 })
    exporter.batches[0]!.release()
    await microtasks()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B28: a late answer to an old batch does not answer the one that runs by then', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter('stock')
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2, exportTimeoutMillis: 10_000 })
    end(processor, ...names(4))
    await vi.advanceTimersByTimeAsync(15_000)
    expect(exporter.batches).toHaveLength(2)
    exporter.batches[0]!.release()
    await microtasks()
    expect(processor.stats()).toMatchObject({ failed: 2, exported: 0, inFlight: 2 })
  })

  it('B28: a batch that waited in vain for an earlier export to end was never handed over, so it is kept', async () => {
    vi.useFakeTimers()
    const exporter = gatedExporter('stock')
    const processor = watchedProcessor(exporter, {
      maxExportBatchSize: 2,
      exportTimeoutMillis: 1_000,
      circuitBreaker: false,
    })
    end(processor, ...names(4))
    await vi.advanceTimersByTimeAsync(4_000)
    expect(exporter.batches).toHaveLength(1)
    expect(processor.stats()).toMatchObject({ failed: 2, pending: 2 })
    exporter.batches[0]!.release()
    await vi.advanceTimersByTimeAsync(5_000)
    exporter.batches[1]!.release()
    await microtasks()
    expect(exporter.names).toEqual(names(4))
  })

  it('B28: one that calls back synchronously', async () => {
    const exporter = synchronousExporter()
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
    end(processor, ...names(5))
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 5 })
    expect(exporter.names).toEqual(names(5))
  })

  it.each([
    ['nothing', undefined],
    ['a code that does not exist', { code: 7 }],
    ['an error that is none', { code: 1, error: Object.create(null) }],
  ])('B28: one that calls back with %s has failed', async (_what, result) => {
    const exporter: SpanExporter = {
      export: (_spans, done) => done(result as ExportResult),
      shutdown: async () => {},
    }
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ failed: 1, error: { code: 'exporter_failed' } })
  })

  it('B28: one that returns a thenable that throws has failed, and one that returns a promise is waited for', async () => {
    const thenable = {
      // biome-ignore lint/suspicious/noThenProperty: what the test is about
      get then() {
        throw new Error('no then')
      },
    }
    const thenables: SpanExporter = { export: () => thenable as never, shutdown: async () => {} }
    const processor = watchedProcessor(thenables)
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ failed: 1 })

    const promises: SpanExporter = {
      async export(_spans, done) {
        await turn()
        done({ code: 0 })
      },
      shutdown: async () => {},
    }
    const second = watchedProcessor(promises)
    end(second, 'a')
    expect(await second.flush()).toMatchObject({ exported: 1 })
  })
})

describe.each(EXPORTER_KINDS)('what is not ours to break, with %s', (_name, kind) => {
  it('B60: an onError that throws or rejects is contained and reported once', async () => {
    const lines = captureDiag()
    for (const onError of [
      () => {
        throw new Error('mine')
      },
      () => Promise.reject(new Error('mine')) as never,
    ]) {
      const processor = watchedProcessor(failingExporter(kind), { onError })
      for (let i = 0; i < 3; i++) {
        end(processor, 'a')
        expect(await processor.flush()).toMatchObject({ failed: 1 })
        await turn()
      }
    }
    expect(lines.filter((line) => line.includes('onError failed'))).toHaveLength(2)
  })

  it('B60: a diag logger that throws breaks nothing', async () => {
    let isBroken = false
    const log = () => {
      if (isBroken) throw new Error('the logger is broken')
    }
    diag.setLogger(
      { error: log, warn: log, info: log, debug: log, verbose: log },
      { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true },
    )
    isBroken = true
    onTestFinished(() => {
      isBroken = false
      diag.disable()
    })
    const failing = watchedProcessor(failingExporter(kind), { maxQueueSize: 2, maxExportBatchSize: 2 })
    end(failing, ...names(4))
    expect(await failing.flush({ timeoutMillis: -1 })).toMatchObject({ failed: 2 })
    const hanging = watchedProcessor(hangingExporter(kind))
    end(hanging, 'a')
    vi.useFakeTimers()
    expect(await settledBy(hanging.flush({ timeoutMillis: 10 }), 10)).toMatchObject({ pending: 1 })
    const broken = {
      forceFlush: () => Promise.reject(new Error('no')),
      shutdown: () => Promise.reject(new Error('no')),
    }
    const rejecting = watchedProcessor(deliveringExporter(kind, broken))
    end(rejecting, 'a')
    expect(await rejecting.flush()).toMatchObject({ exported: 1 })
    await rejecting.shutdown()
  })
})

describe('InMemorySpanExporter', () => {
  it('keeps the spans, across reset and shutdown', async () => {
    const exporter = new InMemorySpanExporter()
    const processor = watchedProcessor(exporter)
    const tracer = tracerFor(processor)
    endSpans(tracer, 2)
    await processor.flush()
    expect(exporter.getFinishedSpans().map((span) => span.name)).toEqual(names(2))
    exporter.reset()
    expect(exporter.getFinishedSpans()).toEqual([])
    endSpans(tracer, 1)
    await processor.shutdown()
    expect(exporter.getFinishedSpans()).toHaveLength(1)
  })

  it('B12: after its shutdown it fails at once and keeps nothing more', async () => {
    const exporter = new InMemorySpanExporter()
    await exporter.shutdown()
    const result = await exportAlone(exporter, [spanNamed('a')])
    expect(result).toMatchObject({ code: 1, error: { code: 'exporter_shutdown' } })
    expect(exporter.getFinishedSpans()).toEqual([])
  })

  it('takes more spans at once than a call has arguments', async () => {
    const exporter = new InMemorySpanExporter()
    const spans = new Array<ReadableSpan>(300_000).fill(spanNamed('a'))
    expect(await exportAlone(exporter, spans)).toEqual({ code: 0 })
    expect(exporter.getFinishedSpans()).toHaveLength(300_000)
  })
})

describe('JsonLinesExporter', () => {
  const namesInLine = (line: string) => {
    expect(line).not.toContain('\n')
    return namesIn(decodeJson(new TextEncoder().encode(line)))
  }

  it('writes one OTLP JSON object a line', async () => {
    const lines: string[] = []
    const processor = watchedProcessor(new JsonLinesExporter({ write: (line) => void lines.push(line) }), {
      maxExportBatchSize: 4,
    })
    endSpans(tracerFor(processor), 10)
    expect(await processor.flush()).toMatchObject({ status: 'success', exported: 10 })
    expect(lines).toHaveLength(3)
    expect(lines.flatMap(namesInLine)).toEqual(names(10))
  })

  it('B62: no line exceeds maxLineBytes: a batch is split, and one span that alone exceeds it is dropped', async () => {
    const lines: string[] = []
    const processor = watchedProcessor(
      new JsonLinesExporter({ write: (line) => void lines.push(line), maxLineBytes: 3_000 }),
    )
    const ended = Array.from({ length: 60 }, (_, i) => `span-${i}-${'é'.repeat((i * 37) % 400)}`)
    end(processor, ...ended.slice(0, 30), 'x'.repeat(3_000), ...ended.slice(30))
    expect(await processor.flush()).toMatchObject({ exported: 60, dropped: 1, pending: 0 })
    expect(processor.stats()).toMatchObject({ dropped: { span_too_large: 1 } })
    expect(lines.length).toBeGreaterThan(5)
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(3_000)
    expect(lines.flatMap(namesInLine)).toEqual(ended)
  })

  it('B62: a line of exactly maxLineBytes is written, one byte more is not', async () => {
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const span = spanNamed('exactly')
    await exportAlone(new JsonLinesExporter({ write }), [span])
    const { length } = lines[0]!
    expect(await exportAlone(new JsonLinesExporter({ write, maxLineBytes: length }), [span])).toEqual({
      code: 0,
    })
    expect(
      await exportAlone(new JsonLinesExporter({ write, maxLineBytes: length - 1 }), [span]),
    ).toMatchObject({
      code: 1,
    })
    expect(lines).toHaveLength(2)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('disk full')
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
  ])('B60: a write that %s fails its batch, and only that', async (_what, fail) => {
    let calls = 0
    const write = (): void | Promise<void> => (++calls === 1 ? fail() : undefined)
    const processor = watchedProcessor(new JsonLinesExporter({ write }), { maxExportBatchSize: 2 })
    end(processor, ...names(4))
    const result = await processor.flush()
    expect(result).toMatchObject({ status: 'failure', failed: 2, exported: 2 })
    expect(result.error?.message).toContain('disk full')
  })

  it('waits for a write that is asynchronous, one line at a time', async () => {
    let running = 0
    let mostRunning = 0
    const write = async () => {
      mostRunning = Math.max(mostRunning, ++running)
      await turn()
      running--
    }
    const processor = watchedProcessor(new JsonLinesExporter({ write }), { maxExportBatchSize: 1 })
    end(processor, ...names(5))
    expect(await processor.flush()).toMatchObject({ exported: 5 })
    expect(mostRunning).toBe(1)
  })

  it('B12: after its shutdown it fails at once and writes nothing', async () => {
    const lines: string[] = []
    const exporter = new JsonLinesExporter({ write: (line) => void lines.push(line) })
    expect(await exportAlone(exporter, [spanNamed('a')])).toEqual({ code: 0 })
    await exporter.shutdown()
    const result = await exportAlone(exporter, [spanNamed('b')])
    expect(result).toMatchObject({ code: 1, error: { code: 'exporter_shutdown' } })
    expect(lines).toHaveLength(1)
  })

  it('names the option and the value that is wrong', () => {
    for (const maxLineBytes of [0, -1, 1.5, Number.NaN]) {
      expect(() => new JsonLinesExporter({ maxLineBytes })).toThrow(`not ${maxLineBytes}`)
      expect(() => new JsonLinesExporter({ maxLineBytes })).toThrow(RangeError)
    }
    expect(() => new JsonLinesExporter({ write: 'stdout' as never })).toThrow(TypeError)
  })
})

describe('an OTLP exporter after its own shutdown', () => {
  it('B12: fails at once and makes no request, under our processor and alone', async () => {
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    const exporter = new OTLPTraceExporter({ url: collector.url })
    const processor = watchedProcessor(exporter)
    await exporter.shutdown()
    expect(await exportAlone(exporter, [spanNamed('a')])).toMatchObject({ code: 1 })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ failed: 1, error: { code: 'exporter_shutdown' } })
    expect(collector.requests).toEqual([])
  })
})

describe('an exporter of ours under a processor of somebody else', () => {
  it('calls back with what the backend answered when its retries have come to nothing', async () => {
    const exporter = new OTLPTraceExporter({
      url: 'http://collector.test/v1/traces',
      timeoutMillis: 300,
      fetch: async () => new Response(null, { status: 503 }),
    })
    const result = await exportAlone(exporter, [spanNamed('a')])
    expect(result).toMatchObject({ code: 1, error: { code: 'http_status', status: 503 } })
  })

  it('retries, and calls back with success when it has come through', async () => {
    vi.useFakeTimers()
    const statuses = [503, 429, 200]
    const exporter = new OTLPTraceExporter({
      url: 'http://collector.test/v1/traces',
      fetch: async () => new Response(null, { status: statuses.shift()! }),
    })
    const results = [exportAlone(exporter, [spanNamed('a')])]
    const flushed = exporter.forceFlush()
    expect(await settledBy(results[0]!, 5_000)).toEqual({ code: 0 })
    await flushed
    expect(statuses).toEqual([])
  })

  it('a result callback that throws is contained', async () => {
    const lines: string[] = []
    const exporter = new JsonLinesExporter({ write: (line) => void lines.push(line) })
    exporter.export([spanNamed('a')], () => {
      throw new Error('mine')
    })
    await exporter.forceFlush()
    expect(lines).toHaveLength(1)
    expect(await exportAlone(exporter, [spanNamed('b')])).toEqual({ code: 0 })
  })
})

describe('processors and exporters of the user', () => {
  it("B64: with encodeAt 'flush' a later processor that redacts in onEnd is honoured", async () => {
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const redactor = {
      onStart() {},
      onEnd(span: { attributes: Record<string, unknown> }) {
        span.attributes['user.email'] = 'redacted'
      },
      forceFlush: async () => {},
      shutdown: async () => {},
    }
    for (const encodeAt of ['flush', 'end'] as const) {
      const processor = watchedProcessor(new JsonLinesExporter({ write }), { encodeAt })
      const span = tracerFor(processor, redactor).startSpan('sign in')
      span.setAttribute('user.email', 'somebody@example.com')
      span.end()
      expect(await processor.flush()).toMatchObject({ exported: 1 })
    }
    expect(lines[0]).toContain('redacted')
    expect(lines[0]).not.toContain('somebody@example.com')
    expect(lines[1]).toContain('somebody@example.com')
  })

  it("with encodeAt 'flush' a span that cannot be encoded is dropped alone", async () => {
    const lines: string[] = []
    const processor = watchedProcessor(new JsonLinesExporter({ write: (line) => void lines.push(line) }), {
      encodeAt: 'flush',
      maxExportBatchSize: 3,
    })
    const broken = spanNamed('broken', {
      get kind() {
        throw new Error('no kind')
      },
    })
    for (const span of [spanNamed('a'), broken, spanNamed('b'), broken, broken, broken, spanNamed('c')]) {
      processor.onEnd(span)
    }
    const result = await processor.flush()
    expect(result).toMatchObject({ status: 'failure', exported: 3, dropped: 4, pending: 0 })
    expect(processor.stats()).toMatchObject({ dropped: { encode_error: 4 } })
    expect(lines.flatMap((line) => namesIn(JSON.parse(line)))).toEqual(['a', 'b', 'c'])
  })

  it('B64: a subclass of ours that overrides export gets spans', async () => {
    const seen: string[] = []
    class Filtering extends JsonLinesExporter {
      override export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
        seen.push(...spans.map((span) => span.name))
        super.export(
          spans.filter((span) => span.name !== 'health check'),
          resultCallback,
        )
      }
    }
    const lines: string[] = []
    const processor = watchedProcessor(new Filtering({ write: (line) => void lines.push(line) }))
    end(processor, 'a', 'health check', 'b')
    expect(await processor.flush()).toMatchObject({ exported: 3 })
    expect(seen).toEqual(['a', 'health check', 'b'])
    expect(lines.flatMap((line) => namesIn(JSON.parse(line)))).toEqual(['a', 'b'])
  })

  it('B64: so does a subclass of the OTLP exporter', async () => {
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    class Renaming extends OTLPTraceExporter {
      override export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
        super.export(
          spans.map((span) => spanNamed(`renamed ${span.name}`)),
          resultCallback,
        )
      }
    }
    const processor = watchedProcessor(new Renaming({ url: collector.url }))
    end(processor, 'a', 'b')
    expect(await processor.flush()).toMatchObject({ exported: 2 })
    expect(namesOf(collector.requests[0]!.body)).toEqual(['renamed a', 'renamed b'])
  })
})

/** The names of the spans in a decoded request. */
function namesIn(request: { resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[] }): string[] {
  return request.resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name)),
  )
}
