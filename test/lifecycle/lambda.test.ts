import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type WrapHandlerOptions, wrapHandler } from '../../src/lifecycle/lambda.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter, hangingExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end, tracerFor } from '../helpers/processors.ts'

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming')
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')

/** Everything that there is of a context. */
function contextWith(remainingMillis: number, requestId = 'request') {
  const endsAt = performance.now() + remainingMillis
  return { awsRequestId: requestId, getRemainingTimeInMillis: () => endsAt - performance.now() }
}

describe('wrapHandler refuses', () => {
  const processor = watchedProcessor(deliveringExporter('encoded'))
  const provider = { forceFlush: async () => {}, shutdown: async () => {} }
  const handler = async () => {}

  test.each<[string, unknown, unknown, ErrorConstructor, string]>([
    [
      'a handler that is none',
      'index.handler',
      { processor },
      TypeError,
      'handler must be a function, not "index.handler"',
    ],
    ['no options', handler, undefined, TypeError, 'options must be an object, not undefined'],
    ['neither of the two', handler, {}, TypeError, 'a processor or a provider must be given'],
    ['both of them', handler, { processor, provider }, TypeError, 'processor and provider are both given'],
    [
      'an exporter for a processor',
      handler,
      { processor: deliveringExporter('stock') },
      TypeError,
      "processor must be a BatchSpanProcessor of 'tailrace', not [object Object]",
    ],
    [
      'something for a provider',
      handler,
      { provider: 5 },
      TypeError,
      'provider must be a tracer provider with forceFlush and shutdown, not 5',
    ],
    [
      'a negative timeout',
      handler,
      { processor, timeoutMillis: -1 },
      RangeError,
      'timeoutMillis must be a number from 0 to 2147483647, not -1',
    ],
    [
      'a margin that is no number',
      handler,
      { processor, marginMillis: '5' },
      TypeError,
      'marginMillis must be a number from 0 to 2147483647, not "5"',
    ],
    [
      'NaN',
      handler,
      { processor, marginMillis: Number.NaN },
      RangeError,
      'marginMillis must be a number from 0 to 2147483647, not NaN',
    ],
    [
      'an unknown mode',
      handler,
      { processor, mode: 'after' },
      RangeError,
      `mode must be 'before-response' or 'after-response', not "after"`,
    ],
    [
      'a root span that is no boolean',
      handler,
      { processor, rootSpan: 1 },
      TypeError,
      'rootSpan must be a boolean, not 1',
    ],
  ])('%s', (_, badHandler, options, ErrorType, message) => {
    const wrap = () => wrapHandler(badHandler as () => void, options as WrapHandlerOptions)
    expect(wrap).toThrow(ErrorType)
    expect(wrap).toThrow(`wrapHandler: ${message}`)
  })
})

describe('a wrapped handler', () => {
  test('B50: keeps the name and the marks of a streaming handler, and never has more than two parameters', () => {
    async function stream(_event: unknown, _stream: unknown, _context: unknown) {}
    Object.assign(stream, { [STREAMING]: 'response', [HIGH_WATER_MARK]: 5 })
    const wrapped = wrapHandler(stream, { processor: watchedProcessor(deliveringExporter('encoded')) })
    expect(wrapped).not.toBe(stream)
    expect(wrapped.name).toBe('stream')
    expect({ ...wrapped }).toEqual({ [STREAMING]: 'response', [HIGH_WATER_MARK]: 5 })
    expect(wrapped.length).toBeLessThanOrEqual(2)
  })

  test.each<[string, unknown]>([
    ['no context', undefined],
    ['an empty one', {}],
    [
      'one that throws',
      {
        getRemainingTimeInMillis() {
          throw new Error('no time')
        },
      },
    ],
    ['one that answers nonsense', { getRemainingTimeInMillis: () => Number.NaN }],
  ])('B50: with %s: flushes within its own timeout and loses nothing', async (_, context) => {
    const exporter = deliveringExporter('encoded')
    const processor = watchedProcessor(exporter)
    const wrapped = wrapHandler(
      async (_event: unknown, _context: unknown) => {
        end(processor, 'a')
        return 'value'
      },
      { processor },
    )
    expect(await wrapped({}, context)).toBe('value')
    expect(exporter.names).toEqual(['a'])
  })

  test('B50: with hardly any time left does not wait, but starts the drain', async () => {
    const exporter = hangingExporter('encoded')
    const processor = watchedProcessor(exporter)
    const wrapped = wrapHandler(async (_event: unknown, _context: unknown) => end(processor, 'a'), {
      processor,
    })
    const startedAt = performance.now()
    await wrapped({}, contextWith(100))
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(exporter.names).toEqual(['a'])
  })

  test('B50: makes a root span on request: as a child of what the headers say, with the error', async () => {
    const exporter = deliveringExporter('stock')
    const processor = watchedProcessor(exporter)
    const started = vi.spyOn(processor, 'onEnd')
    const { trace } = await import('@opentelemetry/api')
    const tracer = tracerFor(processor)
    vi.spyOn(trace, 'getTracer').mockReturnValue(tracer)
    const wrapped = wrapHandler(
      async (_event: unknown, _context: unknown) => {
        throw new TypeError('no')
      },
      { processor, rootSpan: true },
    )
    const context = {
      ...contextWith(5000),
      functionName: 'checkout',
      invokedFunctionArn: 'arn:aws:lambda:eu:123:function:checkout',
    }
    await expect(wrapped({}, context)).rejects.toThrow(new TypeError('no'))
    expect(exporter.names).toEqual(['checkout'])
    expect(started.mock.calls[0]![0]).toMatchObject({
      attributes: {
        'faas.invocation_id': 'request',
        'cloud.resource_id': 'arn:aws:lambda:eu:123:function:checkout',
        'cloud.account.id': '123',
      },
      status: { code: 2, message: 'no' },
    })
  })

  test('B50: a mode that needs Lambda falls back to a flush before the response elsewhere', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = watchedProcessor(exporter)
    const lines = captureDiag()
    const wrapped = wrapHandler(async (_event: unknown, _context: unknown) => end(processor, 'a'), {
      processor,
      mode: 'after-response',
    })
    await wrapped({}, contextWith(5000))
    expect(exporter.names).toEqual(['a'])
    expect(lines).toEqual([])
  })
})

describe('the rescue flush', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('B50: comes twice the margin before the function ends, neither earlier nor when the handler is done', async () => {
    const exporter = deliveringExporter('encoded')
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0 })
    let finish = () => {}
    const wrapped = wrapHandler(
      (_event: unknown, _context: unknown) => {
        end(processor, 'a')
        return new Promise<void>((resolve) => {
          finish = resolve
        })
      },
      { processor, marginMillis: 300 },
    )
    const done = wrapped({}, contextWith(3000))
    await vi.advanceTimersByTimeAsync(2399)
    expect(exporter.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.names).toEqual(['a'])
    finish()
    await vi.advanceTimersByTimeAsync(0)
    await done
    expect(vi.getTimerCount()).toBe(0)
  })

  const outcomes: [
    string,
    (event: unknown, context: unknown, callback?: (error: unknown) => void) => unknown,
  ][] = [
    ['a result', async () => 'value'],
    ['a value without a promise', (_event, _context) => 'value'],
    ['a rejection', () => Promise.reject(new Error('no'))],
    [
      'an exception',
      () => {
        throw new Error('no')
      },
    ],
    ['a callback', (_event, _context, callback) => void callback?.(null)],
    ['a callback with an error', (_event, _context, callback) => void callback?.(new Error('no'))],
  ]

  test.each(outcomes)('B50: is disarmed by %s', async (_, handler) => {
    const processor = watchedProcessor(deliveringExporter('encoded'))
    const flush = vi.spyOn(processor, 'flush')
    const wrapped = wrapHandler(handler, { processor })
    const callback = handler.length > 2 ? vi.fn() : undefined
    await Promise.resolve(wrapped({}, contextWith(3000), callback)).catch(() => {})
    await vi.advanceTimersByTimeAsync(0)
    expect(flush).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a provider without our processor', () => {
  test.each<[string, () => Promise<void>]>([
    ['hangs', () => new Promise(() => {})],
    ['rejects', () => Promise.reject(new Error('the flush failed'))],
  ])(
    'B14, B50: that %s changes no result, and holds nobody up for longer than the budget',
    async (_, forceFlush) => {
      captureDiag()
      const provider = { forceFlush: vi.fn(forceFlush), shutdown: async () => {} }
      const wrapped = wrapHandler(async (_event: unknown, _context: unknown) => 'value', {
        provider,
        timeoutMillis: 50,
      })
      const startedAt = performance.now()
      expect(await wrapped({}, contextWith(5000))).toBe('value')
      expect(performance.now() - startedAt).toBeLessThan(1000)
      expect(provider.forceFlush).toHaveBeenCalledTimes(1)
    },
  )

  test('B50: behind the global provider of the API is found when it is needed', async () => {
    const provider = { forceFlush: vi.fn(async () => {}), shutdown: async () => {} }
    const standIn = { getTracer: () => undefined as never, getDelegate: vi.fn<() => unknown>(() => ({})) }
    const wrapped = wrapHandler(async (_event: unknown) => 'value', { provider: standIn })
    expect(await wrapped({})).toBe('value')
    standIn.getDelegate.mockReturnValue(provider)
    await wrapped({})
    expect(provider.forceFlush).toHaveBeenCalledTimes(1)
  })
})

describe('a flush without options', () => {
  test('B50: keeps to what the running invocation has left, and to the default when none is running', async () => {
    const processor = watchedProcessor(hangingExporter('encoded'), { flushTimeoutMillis: 2000 })
    const millisOf = async (work: () => Promise<unknown>) => {
      const startedAt = performance.now()
      await work()
      return performance.now() - startedAt
    }
    const wrapped = wrapHandler(
      async (_event: unknown, _context: unknown) => {
        end(processor, 'a')
        return millisOf(() => processor.forceFlush())
      },
      { processor, marginMillis: 300 },
    )
    const invocation = contextWith(600)
    const within = await wrapped({}, invocation)
    expect(within).toBeGreaterThan(200)
    expect(within).toBeLessThan(1500)
    await expect.poll(() => invocation.getRemainingTimeInMillis()).toBeLessThan(0)
    expect(await millisOf(() => processor.forceFlush())).toBeGreaterThan(1900)
  })
})
