/** The helpers for Workers without Workers: what is told at wrap time, budgets, fallbacks. workerd's turn is in test/runtimes. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type CloudflareOptions,
  flushOnWaitUntil,
  type WaitUntilContext,
  wrapDurableObject,
  wrapHandler,
} from '../../src/lifecycle/cloudflare.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter, hangingExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end } from '../helpers/processors.ts'
import { hasSettled, microtasks, settledBy } from '../helpers/settling.ts'

class FakeContext implements WaitUntilContext {
  readonly given: Promise<unknown>[] = []

  waitUntil(promise: Promise<unknown>): void {
    if (!(this instanceof FakeContext)) throw new TypeError('Illegal invocation')
    this.given.push(promise)
  }
}

function setUp(exporter = deliveringExporter('encoded')) {
  const processor = watchedProcessor(exporter, { requestScoped: true })
  return { processor, exporter, ctx: new FakeContext(), flush: vi.spyOn(processor, 'flush') }
}

beforeEach(() => {
  vi.useFakeTimers()
})

describe('at wrap time', () => {
  const { processor } = setUp()
  const provider = new BasicTracerProvider()

  it.each<[string, unknown, unknown, string]>([
    [
      'no handler',
      undefined,
      { processor },
      'wrapHandler: handler must be a function, a class, or an object with one',
    ],
    ['an object without handlers', { get() {} }, { processor }, 'wrapHandler: handler must be'],
    ['no options', () => {}, undefined, 'wrapHandler: options must be an object, not undefined'],
    ['nothing to flush', () => {}, {}, 'wrapHandler: a processor or a provider must be given'],
    ['both', () => {}, { processor, provider }, 'wrapHandler: processor and provider are both given'],
    ['a stock processor', () => {}, { processor: { forceFlush() {} } }, 'wrapHandler: processor must be'],
    [
      'something for a provider',
      () => {},
      { provider: {} },
      'wrapHandler: provider must be a tracer provider',
    ],
    [
      'too long a time',
      () => {},
      { processor, timeoutMillis: 30_001 },
      'timeoutMillis must be a number from 1 to 30000, not 30001',
    ],
    [
      'no time',
      () => {},
      { processor, timeoutMillis: 0 },
      'wrapHandler: timeoutMillis must be a number from 1 to 30000, not 0',
    ],
    [
      'a text for a time',
      () => {},
      { processor, timeoutMillis: '5' },
      'timeoutMillis must be a number from 1 to 30000, not "5"',
    ],
  ])('B51: %s is an error that names option and value', (_what, handler, options, message) => {
    expect(() => wrapHandler(handler as object, options as CloudflareOptions)).toThrow(message)
  })

  it('B51: a Durable Object has to be a class', () => {
    const notAClass = (() => {}) as unknown as new () => object
    expect(() => wrapDurableObject(notAClass, { processor })).toThrow(
      'wrapDurableObject: Class must be a class',
    )
  })

  it('keeps a class a class, and of an object the handlers', () => {
    class Counter {
      fetch() {
        return 'fetched'
      }
    }
    expect(wrapDurableObject(Counter, { processor })).toHaveProperty('name', 'Counter')
    expect(new (wrapHandler(Counter, { processor }))()).toBeInstanceOf(Counter)
    const handler = { fetch: () => new Response(), tailStream() {}, other: 1 }
    expect(Object.keys(wrapHandler(handler, { processor }))).toEqual(['fetch', 'tailStream'])
  })
})

describe('the budget', () => {
  it('B51: is what is left of the 30 s of waitUntil when the handler has returned', async () => {
    const { processor, ctx, flush } = setUp(hangingExporter('encoded'))
    const handler = wrapHandler(
      () =>
        new Promise<void>((resolve) => {
          setTimeout(() => {
            end(processor, 'a')
            resolve()
          }, 60_000)
        }),
      { processor },
    ) as (event: object, env: object, ctx: WaitUntilContext) => Promise<void>
    const returned = handler({}, {}, ctx)
    await settledBy(returned, 60_000)
    await microtasks()
    expect(flush).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ timeoutMillis: 28_500 }))
    expect(ctx.given).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(28_000)
    expect(await hasSettled(ctx.given[0]!)).toBe(false)
    expect(await settledBy(ctx.given[0]!, 1_000)).toBeUndefined()
    expect(processor.stats()).toMatchObject({ pending: 1, inFlight: 0 })
  })

  it('B51: of background work, five seconds are kept for its spans', async () => {
    const { processor, exporter, ctx } = setUp()
    const handler = wrapHandler(
      (_event: object, _env: object, { waitUntil }: WaitUntilContext) => {
        waitUntil(new Promise(() => {}))
        setTimeout(() => end(processor, 'late'), 20_000)
        return 'done'
      },
      { processor },
    )
    expect(handler({}, {}, ctx)).toBe('done')
    await vi.advanceTimersByTimeAsync(23_400)
    expect(exporter.names).toEqual([])
    await vi.advanceTimersByTimeAsync(200)
    expect(exporter.names).toEqual(['late'])
    expect(await hasSettled(ctx.given[0]!)).toBe(true)
  })

  it('B51: runs from the moment at which the client went away', async () => {
    const { processor, exporter, ctx } = setUp()
    const client = new AbortController()
    const hanging = wrapHandler(
      (_event: { signal: AbortSignal }, _env: object, _ctx: WaitUntilContext) => {
        end(processor, 'early')
        return new Promise<void>(() => {})
      },
      { processor },
    )
    hanging({ signal: client.signal }, {}, ctx)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(exporter.names).toEqual([])
    client.abort()
    await vi.advanceTimersByTimeAsync(23_000)
    expect(exporter.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(exporter.names).toEqual(['early'])
    expect(await hasSettled(ctx.given[0]!)).toBe(true)
  })

  it('B51: no timer runs before the handler has returned, so that one that hangs is found out', async () => {
    const { processor, ctx } = setUp()
    wrapHandler((..._args: unknown[]) => new Promise<void>(() => {}), { processor })({}, {}, ctx)
    await microtasks()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('B51: a provider is flushed within our deadline', async () => {
    const { ctx } = setUp()
    const provider = { forceFlush: () => new Promise<void>(() => {}), shutdown: async () => {} }
    wrapHandler((..._args: unknown[]) => {}, { provider, timeoutMillis: 1_000 })({}, {}, ctx)
    await vi.advanceTimersByTimeAsync(999)
    expect(await hasSettled(ctx.given[0]!)).toBe(false)
    expect(await settledBy(ctx.given[0]!, 1)).toBeUndefined()
  })
})

describe('the fallbacks', () => {
  const broken: [string, unknown][] = [
    ['no context', undefined],
    [
      'a context that throws',
      {
        waitUntil: () => {
          throw new TypeError('Illegal invocation')
        },
      },
    ],
    [
      'a context whose waitUntil cannot be read',
      {
        get waitUntil() {
          throw new Error('gone')
        },
      },
    ],
  ]

  it.each(broken)('B51: %s: the result waits for the flush', async (_what, ctx) => {
    const { processor, exporter } = setUp()
    const handler = wrapHandler(
      (..._args: unknown[]) => {
        end(processor, 'a')
        return 'done'
      },
      { processor },
    )
    expect(await handler({}, {}, ctx)).toBe('done')
    expect(exporter.names).toEqual(['a'])
  })

  it.each(broken)(
    'B14, B51: %s: an error stays what it is, and waits for two seconds at most',
    async (_what, ctx) => {
      const { processor } = setUp(hangingExporter('encoded'))
      const handler = wrapHandler(
        async (..._args: unknown[]) => {
          end(processor, 'a')
          throw new RangeError('the handler failed')
        },
        { processor },
      )
      const failed = handler({}, {}, ctx).then(undefined, (error: unknown) => error)
      await vi.advanceTimersByTimeAsync(1_999)
      expect(await hasSettled(failed)).toBe(false)
      expect(await settledBy(failed, 1)).toEqual(new RangeError('the handler failed'))
    },
  )

  it('B51: a frozen context is left as it is', async () => {
    const { processor, exporter, ctx } = setUp()
    wrapHandler((..._args: unknown[]) => end(processor, 'a'), { processor })({}, {}, Object.freeze(ctx))
    await ctx.given[0]
    expect(exporter.names).toEqual(['a'])
  })

  it('B51: the one argument of Pages and of service workers is the context, too', async () => {
    const { processor, exporter, ctx } = setUp()
    wrapHandler((_event: WaitUntilContext) => end(processor, 'a'), { processor })(ctx)
    await ctx.given[0]
    expect(exporter.names).toEqual(['a'])
  })
})

describe('a streaming tail worker', () => {
  const outcome = { event: { type: 'outcome' } }

  it.each<[string, (names: (name: string) => void) => unknown]>([
    ['a function', (note) => (event: typeof outcome) => note(event.event.type)],
    ['a promise of it', async (note) => (event: typeof outcome) => note(event.event.type)],
    ['an object', (note) => ({ outcome: () => note('outcome'), log: () => note('log') })],
  ])('B51: flushes with its first event and its last, given %s', async (_what, listen) => {
    const { processor, exporter, ctx, flush } = setUp()
    const handler = wrapHandler(
      { tailStream: (..._args: unknown[]) => listen((name) => end(processor, name)) },
      { processor },
    )
    const returned = (await handler.tailStream({}, {}, ctx)) as object
    await Promise.all(ctx.given)
    expect(flush).toHaveBeenCalledTimes(1)
    const call = (type: string) =>
      typeof returned === 'function'
        ? returned({ event: { type } })
        : (returned as Record<string, (event: object) => void>)[type]!({ event: { type } })
    call('log')
    expect(ctx.given).toHaveLength(1)
    call('outcome')
    await Promise.all(ctx.given)
    expect(flush).toHaveBeenCalledTimes(2)
    expect(exporter.names).toEqual(['log', 'outcome'])
  })

  it('B51: may listen for nothing, or not for the end', async () => {
    const { processor, exporter, ctx } = setUp()
    const listeners: unknown[] = [undefined, { log: () => end(processor, 'log') }]
    const handler = wrapHandler({ tailStream: (..._args: unknown[]) => listeners.shift() }, { processor })
    expect(handler.tailStream({}, {}, ctx)).toBeUndefined()
    const returned = handler.tailStream({}, {}, ctx) as Record<string, (event?: object) => unknown>
    returned.log!()
    expect(returned.outcome!(outcome)).toBeUndefined()
    await settledBy(Promise.all(ctx.given), 1_000)
    expect(exporter.names).toEqual(['log'])
  })
})

describe('flushOnWaitUntil', () => {
  it('B51: never throws, whatever it is given', async () => {
    const { processor, exporter } = setUp()
    for (const ctx of [
      undefined,
      null,
      1,
      {},
      new FakeContext().waitUntil,
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('no')
          },
        },
      ),
    ]) {
      end(processor, 'a')
      await flushOnWaitUntil(ctx as never, processor)
    }
    expect(exporter.names).toHaveLength(6)
    expect(await flushOnWaitUntil(new FakeContext(), undefined as never)).toBeUndefined()
  })

  it('B51: takes a waitUntil that is bound to its context', async () => {
    const { processor, exporter, ctx } = setUp()
    end(processor, 'a')
    flushOnWaitUntil(ctx.waitUntil.bind(ctx), processor)
    await ctx.given[0]
    expect(exporter.names).toEqual(['a'])
  })

  it('B51: contains a processor that rejects, and a provider that throws, and tells of each once', async () => {
    const lines = captureDiag()
    const { processor, ctx } = setUp()
    vi.spyOn(processor, 'flush').mockRejectedValue(new Error('no'))
    const provider = {
      forceFlush() {
        throw new Error('not now')
      },
      shutdown: async () => {},
    }
    for (let i = 0; i < 3; i++) {
      flushOnWaitUntil(ctx, processor)
      flushOnWaitUntil(ctx, provider)
    }
    expect(await Promise.all(ctx.given)).toEqual(Array(6).fill(undefined))
    expect(lines).toEqual([
      'tailrace: a flush of the processor failed: no',
      'tailrace: a flush of the provider failed: not now',
    ])
  })
})

describe('a Durable Object', () => {
  it('B51: calls a method that returns nothing once', async () => {
    const { processor, ctx } = setUp()
    const called = vi.fn()
    class Counter {
      note(): void {
        called()
      }
    }
    const Wrapped = wrapDurableObject(Counter as new (ctx: WaitUntilContext) => Counter, { processor })
    expect(new Wrapped(ctx).note()).toBeUndefined()
    expect(called).toHaveBeenCalledTimes(1)
    await Promise.all(ctx.given)
  })

  it('B51: shares its flushes: many calls, one flush at a time, and each call is covered', async () => {
    const { processor, exporter, ctx, flush } = setUp()
    class Counter {
      add(name: string) {
        end(processor, name)
        return this.note(name)
      }
      note(name: string) {
        return `noted ${name}`
      }
    }
    const Wrapped = wrapDurableObject(Counter as new (ctx: WaitUntilContext) => Counter, { processor })
    const counter = new Wrapped(ctx)
    const results = Array.from({ length: 100 }, (_, i) => counter.add(`span-${i}`))
    expect(results[99]).toBe('noted span-99')
    await Promise.all(ctx.given)
    expect(ctx.given).toHaveLength(100)
    expect(exporter.names).toHaveLength(100)
    expect(flush.mock.calls.length).toBeLessThanOrEqual(2)
  })
})
