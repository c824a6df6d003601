import { describe, expect, it, vi } from 'vitest'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'
import { BatchSpanProcessor } from '../../src/processor.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter, EXPORTER_KINDS, hangingExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end, names } from '../helpers/processors.ts'
import { hasSettled, microtasks } from '../helpers/settling.ts'

const exporter = deliveringExporter('stock')
const make = (options: object) => new BatchSpanProcessor(exporter, options as BatchSpanProcessorOptions)

describe('the options of BatchSpanProcessor', () => {
  it.each([
    ['maxExportBatchSize', 0],
    ['maxExportBatchSize', -1],
    ['maxExportBatchSize', 1.5],
    ['maxExportBatchSize', Number.NaN],
    ['maxExportBatchSize', Infinity],
    ['maxQueueSize', 0],
    ['maxQueueSize', 2 ** 31],
    ['maxQueueBytes', 0],
    ['maxExportBatchBytes', -5],
    ['scheduledDelayMillis', -1],
    ['scheduledDelayMillis', 2 ** 31],
    ['scheduledDelayMillis', Number.NaN],
    ['exportTimeoutMillis', 2 ** 31],
    ['flushTimeoutMillis', -0.5],
    ['shutdownTimeoutMillis', Infinity],
    ['retry.maxAttempts', 0],
    ['retry.multiplier', 0.5],
    ['retry.jitter', 1.1],
    ['circuitBreaker.failureThreshold', 0],
    ['circuitBreaker.probeIntervalMillis', -1],
    ['rateLimit.maxExportsPerSecond', 0],
    ['dropPolicy', 'none'],
    ['encodeAt', 'later'],
  ])('B48: %s %s is a RangeError that names option and value', (name, value) => {
    const [first, second] = name.split('.') as [string, string?]
    const options = second === undefined ? { [first]: value } : { [first]: { [second]: value } }
    expect(() => make(options)).toThrow(RangeError)
    expect(() => make(options)).toThrow(name)
    expect(() => make(options)).toThrow(`${value}`)
  })

  it.each([
    ['maxQueueSize', '2048'],
    ['maxQueueSize', null],
    ['retry', 3],
    ['retry.maxAttempts', '3'],
    ['circuitBreaker', true],
    ['rateLimit', 10],
    ['onDrop', 'log'],
    ['onError', {}],
    ['flushOnRootEnd', 'yes'],
    ['disableAutoFlushOnDocumentHide', 1],
    ['selfObsMeterProvider', 'global'],
  ])('B48: %s of the wrong type (%s) is a TypeError that names option and value', (name, value) => {
    const [first, second] = name.split('.') as [string, string?]
    const options = second === undefined ? { [first]: value } : { [first]: { [second]: value } }
    expect(() => make(options)).toThrow(TypeError)
    expect(() => make(options)).toThrow(name)
  })

  it.each([undefined, null, {}, 'exporter', { exporter: {} }])(
    'B48: %s instead of an exporter is a TypeError',
    (wrong) => {
      expect(() => new BatchSpanProcessor(wrong as never)).toThrow(TypeError)
      expect(() => new BatchSpanProcessor(wrong as never)).toThrow(/exporter/)
    },
  )

  it('B48: the limits themselves are taken, and undefined is the default', () => {
    expect(() =>
      make({
        maxQueueSize: 1,
        maxExportBatchSize: 1,
        scheduledDelayMillis: 2 ** 31 - 1,
        flushTimeoutMillis: 0,
      }),
    ).not.toThrow()
    expect(() => make({ maxQueueSize: undefined, retry: undefined, onDrop: undefined })).not.toThrow()
  })

  it('B48: a batch larger than the queue is clamped, with a warning if it was given', async () => {
    const lines = captureDiag()
    const given = deliveringExporter('encoded')
    const processor = watchedProcessor(given, { maxQueueSize: 3, maxExportBatchSize: 10 })
    end(processor, ...names(3))
    await microtasks()
    expect(given.names).toEqual(names(3))
    expect(lines.filter((line) => /maxExportBatchSize.*10.*3/.test(line))).toHaveLength(1)

    make({ maxQueueSize: 3 })
    expect(lines).toHaveLength(1)
  })

  it('B48: unknown option names are warned about once', () => {
    const lines = captureDiag()
    for (let i = 0; i < 3; i++) make({ maxQueueSizes: 1, retry: { attempts: 2 } })
    expect(lines.filter((line) => line.includes('maxQueueSizes'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('retry.attempts'))).toHaveLength(1)
    expect(lines).toHaveLength(2)
  })

  it('B59: options with a prototype reach nothing that is not theirs', () => {
    const options = JSON.parse('{"__proto__": {"maxQueueSize": -1}, "constructor": 1}')
    expect(() => make(options)).not.toThrow()
    expect(Object.prototype).not.toHaveProperty('maxQueueSize')
  })

  it('both call shapes of the stock processor work', async () => {
    for (const shape of ['exporter first', 'exporter among the options']) {
      const delivering = deliveringExporter('encoded')
      const options = { maxExportBatchSize: 2 }
      const processor =
        shape === 'exporter first'
          ? new BatchSpanProcessor(delivering, options)
          : new BatchSpanProcessor({ exporter: delivering, ...options })
      end(processor, 'a', 'b', 'c')
      await microtasks()
      expect(delivering.names).toEqual(['a', 'b'])
      await processor.shutdown()
    }
  })
})

describe.each(EXPORTER_KINDS)('OTEL_BSP_*, with %s', (_name, kind) => {
  it('B47: variables stand above the defaults, options above the variables', async () => {
    vi.useFakeTimers()
    vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', ' 100 ')
    vi.stubEnv('OTEL_BSP_MAX_QUEUE_SIZE', '4')
    vi.stubEnv('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '3')
    const fromEnvironment = deliveringExporter(kind)
    const first = watchedProcessor(fromEnvironment)
    end(first, 'a', 'b')
    await vi.advanceTimersByTimeAsync(99)
    expect(fromEnvironment.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(fromEnvironment.names).toEqual(['a', 'b'])
    end(first, ...names(6))
    expect(first.stats()).toMatchObject({ pending: 4, dropped: { queue_full: 2 } })
    await microtasks()
    expect(fromEnvironment.batches.at(-1)!.names).toEqual(['span-2', 'span-3', 'span-4'])

    const fromCode = deliveringExporter(kind)
    const second = watchedProcessor(fromCode, {
      scheduledDelayMillis: 200,
      maxQueueSize: 6,
      maxExportBatchSize: 6,
    })
    end(second, ...names(5))
    await vi.advanceTimersByTimeAsync(199)
    expect(fromCode.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(fromCode.names).toEqual(names(5))
  })

  it('B47: OTEL_BSP_EXPORT_TIMEOUT bounds an export', async () => {
    vi.useFakeTimers()
    vi.stubEnv('OTEL_BSP_EXPORT_TIMEOUT', '700')
    const hanging = hangingExporter(kind)
    const processor = watchedProcessor(hanging)
    end(processor, 'a')
    const flushed = processor.flush({ timeoutMillis: 10_000 })
    await vi.advanceTimersByTimeAsync(699)
    if (kind === 'stock') {
      expect(await hasSettled(flushed)).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect(await flushed).toMatchObject({ failed: 1 })
    } else {
      const { signal } = hanging.batches[0]!.attempt!
      expect(signal.aborted).toBe(false)
      await vi.advanceTimersByTimeAsync(1)
      expect(signal.aborted).toBe(true)
    }
  })

  it.each(['', '  ', 'many', '-1', '1.5', 'NaN', '1e400'])(
    "B47: OTEL_BSP_MAX_QUEUE_SIZE='%s' is ignored, with one warning unless it is empty",
    (value) => {
      const lines = captureDiag()
      vi.stubEnv('OTEL_BSP_MAX_QUEUE_SIZE', value)
      // A value that no other test uses: it is warned about once in the life of the process.
      if (value.trim() !== '')
        vi.stubEnv('OTEL_BSP_MAX_QUEUE_SIZE', kind === 'stock' ? value : `${value} `.repeat(2))
      for (let i = 0; i < 2; i++) {
        const processor = watchedProcessor(hangingExporter(kind), { scheduledDelayMillis: 0 })
        end(processor, ...names(2_048))
        expect(processor.stats()).toMatchObject({ pending: 2_048, dropped: { queue_full: 0 } })
      }
      expect(lines.filter((line) => line.includes('OTEL_BSP_MAX_QUEUE_SIZE'))).toHaveLength(
        value.trim() === '' ? 0 : 1,
      )
    },
  )
})
