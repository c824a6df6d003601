import http from 'node:http'
import { type Context, context, ROOT_CONTEXT } from '@opentelemetry/api'
import { ExportResultCode, isTracingSuppressed, suppressTracing } from '@opentelemetry/core'
import { BasicTracerProvider, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { ExportResultCode as ExportResultCode1, isTracingSuppressed as isTracingSuppressed1 } from 'core-1'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { JsonLinesExporter } from '../../src/exporters/json-lines.ts'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { suppressTracing as ours } from '../../src/pipeline/suppress.ts'
import { CONTEXT_MANAGERS, useContextManager } from '../helpers/context-managers.ts'
import { EXPORTER_KINDS, fakeExporter, retryable, synchronousExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { answers, startCollector } from '../helpers/misbehaving-collector.ts'
import { end, names, spanNamed } from '../helpers/processors.ts'
import { settledBy } from '../helpers/settling.ts'

/** Whether both lines of `@opentelemetry/core` find tracing suppressed just now. */
function isSuppressed(active: Context = context.active()): boolean {
  expect(isTracingSuppressed(active)).toBe(isTracingSuppressed1(active))
  return isTracingSuppressed(active)
}

describe('what is stated once in our code', () => {
  it('B29: is the suppression key of @opentelemetry/core 2.x and 1.30', () => {
    useContextManager(CONTEXT_MANAGERS[1]![1]())
    expect(isSuppressed()).toBe(false)
    expect(ours(() => isSuppressed())).toBe(true)
    expect(isSuppressed(suppressTracing(ROOT_CONTEXT))).toBe(true)
    expect(isSuppressed()).toBe(false)
  })

  it.each([
    ['2.x', ExportResultCode],
    ['1.30', ExportResultCode1],
  ])('is the result codes of @opentelemetry/core %s', async (_line, { SUCCESS, FAILED }) => {
    const results: [number, object][] = [
      [SUCCESS, { exported: 1, failed: 0 }],
      [FAILED, { exported: 0, failed: 1 }],
    ]
    for (const [code, expected] of results) {
      const processor = watchedProcessor({
        export: (_spans, done) => done({ code }),
        shutdown: async () => {},
      })
      end(processor, 'a')
      expect(await processor.flush()).toMatchObject(expected)
    }
    const exporter = new JsonLinesExporter({ write: () => {} })
    const code = () =>
      new Promise((resolve) => exporter.export([spanNamed('a')], (result) => resolve(result.code)))
    expect(await code()).toBe(SUCCESS)
    await exporter.shutdown()
    expect(await code()).toBe(FAILED)
  })
})

describe.each(CONTEXT_MANAGERS)('suppression with %s', (_manager, createManager) => {
  it.each(EXPORTER_KINDS)(
    'B29: %s exports, flushes and shuts down with tracing suppressed',
    async (_name, kind) => {
      useContextManager(createManager())
      const seen: boolean[] = []
      const note = async () => void seen.push(isSuppressed())
      const exporter = fakeExporter(
        kind,
        () => {
          seen.push(isSuppressed())
          return 'delivered'
        },
        { forceFlush: note, shutdown: note },
      )
      const processor = watchedProcessor(exporter, { maxExportBatchSize: 2 })
      end(processor, ...names(5))
      await processor.flush()
      end(processor, ...names(2))
      await processor.shutdown()
      expect(exporter.batches).toHaveLength(4)
      expect(seen).toEqual(new Array(exporter.batches.length + exporter.flushes + 1).fill(true))
      expect(isSuppressed()).toBe(false)
    },
  )

  it('B29: retries run with tracing suppressed', async () => {
    vi.useFakeTimers()
    useContextManager(createManager())
    const seen: boolean[] = []
    const exporter = fakeExporter('encoded', (_batch, index) => {
      seen.push(isSuppressed())
      return index < 3 ? retryable() : 'delivered'
    })
    const processor = watchedProcessor(exporter)
    end(processor, 'a')
    await settledBy(processor.flush({ timeoutMillis: 30_000 }), 30_000)
    expect(seen).toEqual([true, true, true, true])
  })

  it('B29: encoding at flush runs with tracing suppressed, in every batch', async () => {
    useContextManager(createManager())
    const seen: boolean[] = []
    const lines: string[] = []
    const processor = watchedProcessor(new JsonLinesExporter({ write: (line) => void lines.push(line) }), {
      encodeAt: 'flush',
      maxExportBatchSize: 1,
    })
    for (const name of names(3)) {
      const attributes = {
        get lazy() {
          seen.push(isSuppressed())
          return name
        },
      }
      processor.onEnd(spanNamed(name, { attributes }))
    }
    seen.length = 0
    expect(await processor.flush()).toMatchObject({ exported: 3 })
    expect(lines).toHaveLength(3)
    expect(seen.length).toBeGreaterThanOrEqual(3)
    expect(seen).not.toContain(false)
  })

  it('B29: what a hand-made span makes its encoding run is not traced', () => {
    useContextManager(createManager())
    const seen: boolean[] = []
    const processor = watchedProcessor(new JsonLinesExporter({ write: () => {} }))
    const attributes = {
      get lazy() {
        seen.push(isSuppressed())
        return 'value'
      },
    }
    const span = spanNamed('a', { attributes })
    processor.onEnd(span)
    processor.onStart(span)
    processor.onEnd(span)
    expect(seen.length).toBeGreaterThanOrEqual(2)
    expect(seen).not.toContain(false)
    expect(isSuppressed()).toBe(false)
  })

  it('B29: what the span of an SDK makes its encoding run is not traced', () => {
    useContextManager(createManager())
    const seen: boolean[] = []
    const processor = watchedProcessor(new JsonLinesExporter({ write: () => {} }))
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('test')
    const span = tracer.startSpan('outer')
    Object.defineProperty((span as unknown as ReadableSpan).attributes, 'lazy', {
      enumerable: true,
      get() {
        seen.push(isSuppressed())
        tracer.startSpan('inner').end()
        return 'value'
      },
    })
    span.end()
    expect(seen.length).toBeGreaterThanOrEqual(1)
    expect(seen).not.toContain(false)
    expect(processor.stats()).toMatchObject({ ended: 1, pending: 1, openSpans: 0 })
  })

  it('B29: every batch of a stock exporter that answers synchronously', async () => {
    useContextManager(createManager())
    const seen: boolean[] = []
    const exporter = synchronousExporter()
    const { export: exportSpans } = exporter
    exporter.export = (spans, done) => {
      seen.push(isSuppressed())
      exportSpans(spans, done)
    }
    const processor = watchedProcessor(exporter, { maxExportBatchSize: 1 })
    end(processor, ...names(3))
    await processor.flush()
    expect(seen).toEqual([true, true, true])
  })

  it('B29: an instrumented fetch makes no span, retries included', async () => {
    useContextManager(createManager())
    const seen: boolean[] = []
    const statuses = [503, 200]
    const fetch = async () => {
      seen.push(isSuppressed())
      return new Response(null, { status: statuses.shift()! })
    }
    const exporter = new OTLPTraceExporter({
      url: 'http://collector.test/v1/traces',
      fetch,
      compression: 'gzip',
      headers: async () => {
        seen.push(isSuppressed())
        return {}
      },
    })
    const processor = watchedProcessor(exporter, { retry: { initialBackoffMillis: 1 } })
    end(processor, 'a')
    expect(await processor.flush()).toMatchObject({ exported: 1 })
    expect(seen).toEqual([true, true, true, true])
  })

  it('B29: an instrumented node:http makes no span, retries included', async () => {
    useContextManager(createManager())
    const collector = await startCollector()
    onTestFinished(() => collector.stop())
    collector.script(answers(503), answers(200))
    const seen: boolean[] = []
    const { request } = http
    vi.spyOn(http, 'request').mockImplementation(((...parameters: Parameters<typeof request>) => {
      seen.push(isSuppressed())
      return request(...parameters)
    }) as typeof request)
    const processor = watchedProcessor(new OTLPTraceExporter({ url: collector.url }), {
      retry: { initialBackoffMillis: 1 },
      maxExportBatchSize: 1,
    })
    end(processor, 'a', 'b')
    expect(await processor.flush()).toMatchObject({ exported: 2 })
    expect(seen).toEqual([true, true, true])
  })
})
