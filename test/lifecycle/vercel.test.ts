/** tailrace/vercel and tailrace/next where Node is enough: Node handlers, bounds, what is given wrongly. */
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import * as next from '../../src/lifecycle/next.ts'
import { flushEachRequest, wrapHandler } from '../../src/lifecycle/vercel.ts'
import { FakePlatform } from '../../src/testing/platform.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter, gatedExporter, hangingExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'
import { end, tracerFor } from '../helpers/processors.ts'
import { hasSettled, microtasks } from '../helpers/settling.ts'

let uninstall = () => {}

// In this order: the platform stands before the timers that it found.
afterEach(() => {
  uninstall()
  uninstall = () => {}
  vi.useRealTimers()
})

/** A platform whose request context is where Vercel leaves it, until the test ends. */
function vercel(): FakePlatform {
  const platform = new FakePlatform()
  uninstall = platform.install()
  return platform
}

function delivering(options = {}) {
  const exporter = deliveringExporter('encoded')
  return { exporter, processor: watchedProcessor(exporter, { scheduledDelayMillis: 0, ...options }) }
}

async function serve(
  handler: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer(handler)
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('B54: a handler for (request, response)', () => {
  test('is flushed after the response has closed, when a span ends as late as that', async () => {
    const platform = vercel()
    const { exporter, processor } = delivering()
    const tracer = tracerFor(processor)
    const handler = wrapHandler(
      (_request: IncomingMessage, response: ServerResponse) => {
        const span = tracer.startSpan('GET /')
        response.once('close', () => setTimeout(() => span.end(), 20))
        response.end('answered')
      },
      { processor },
    )
    let ended: Promise<unknown> = Promise.resolve()
    const url = await serve((request, response) => {
      ended = platform.request(() => handler(request, response)).ended
    })
    expect(await (await fetch(url)).text()).toBe('answered')
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
    expect(exporter.names).toEqual(['GET /'])
  })

  test('is flushed when the client has gone away', async () => {
    const platform = vercel()
    const { exporter, processor } = delivering()
    const handler = wrapHandler(
      async (_request: IncomingMessage, response: ServerResponse) => {
        end(processor, 'aborted')
        response.write('first')
      },
      { processor },
    )
    let over = () => {}
    const ended = new Promise<void>((resolve) => {
      over = resolve
    })
    const url = await serve((request, response) => {
      void platform.request(() => handler(request, response)).ended.then(over)
    })
    const client = get(url).on('error', () => {})
    const [response] = (await once(client, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    await once(response, 'data')
    expect(exporter.names).toEqual([])
    client.destroy()
    await ended
    expect(exporter.names).toEqual(['aborted'])
  })

  test('without a request context it is flushed when the handler has settled, and again after the close', async () => {
    const { exporter, processor } = delivering()
    const handler = wrapHandler(
      (_request: IncomingMessage, response: ServerResponse) => {
        end(processor, 'early')
        response.once('close', () => end(processor, 'late'))
        response.end()
      },
      { processor },
    )
    let handled: Promise<void> = Promise.resolve()
    const url = await serve((request, response) => {
      handled = handler(request, response)
    })
    await fetch(url)
    await handled
    await vi.waitFor(() => expect(exporter.names).toEqual(['early', 'late']))
  })
})

describe('B54: a handler', () => {
  test('keeps its result, its error, its receiver and its arguments', async () => {
    const { processor } = delivering()
    const result = { not: 'a response' }
    const handler = wrapHandler(
      function (this: unknown, ...args: unknown[]) {
        return [this, args, result]
      } as (...args: unknown[]) => unknown[],
      { processor },
    )
    const receiver = {}
    const answer = await handler.call(receiver, 1, 'two')
    expect(answer[0]).toBe(receiver)
    expect(answer[1]).toEqual([1, 'two'])
    expect(answer[2]).toBe(result)
    const error = new Error('mine')
    await expect(wrapHandler(() => Promise.reject(error), { processor })()).rejects.toBe(error)
    const thrown = wrapHandler(
      () => {
        throw error
      },
      { processor },
    )
    await expect(thrown()).rejects.toBe(error)
  })

  test.each(['breaks', 'is cancelled'])('is flushed when its streamed body %s', async (how) => {
    const platform = vercel()
    const { exporter, processor } = delivering()
    const error = new Error('the stream broke')
    const cancelled = vi.fn()
    const handler = wrapHandler(
      () => {
        const body = new ReadableStream({
          pull(controller) {
            end(processor, 'streamed')
            if (how === 'breaks') controller.error(error)
            else controller.enqueue(new Uint8Array(1))
          },
          cancel: cancelled,
        })
        return new Response(body)
      },
      { processor },
    )
    const { response, ended } = platform.request(() => handler())
    const reader = (await response).body!.getReader()
    if (how === 'breaks') await expect(reader.read()).rejects.toBe(error)
    else {
      await reader.read()
      await reader.cancel('enough')
      expect(cancelled).toHaveBeenCalledWith('enough')
    }
    await ended
    expect(new Set(exporter.names)).toEqual(new Set(['streamed']))
  })

  test('whose body nobody reads is flushed after 25 s, within the 30 s of the platform', async () => {
    vi.useFakeTimers()
    vercel()
    const { exporter, processor } = delivering()
    const waitUntil = vi.fn()
    const handler = wrapHandler(
      () => {
        end(processor, 'unread')
        return new Response('never read')
      },
      { processor, waitUntil },
    )
    await new FakePlatform().request(() => handler()).response
    await vi.advanceTimersByTimeAsync(24_999)
    expect(exporter.names).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(exporter.names).toEqual(['unread'])
    expect(await hasSettled(waitUntil.mock.calls[0]![0])).toBe(true)
  })

  test('with a backend that never answers: the promise for waitUntil settles at the deadline, and never rejects', async () => {
    vi.useFakeTimers()
    const platform = vercel()
    const processor = watchedProcessor(hangingExporter('encoded'))
    const handler = wrapHandler(() => end(processor, 'stuck'), { processor, timeoutMillis: 1000 })
    const { response, ended } = platform.request(() => handler())
    await response
    await vi.advanceTimersByTimeAsync(999)
    expect(await hasSettled(ended)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
  })

  test("whose caller's own span is active, and ends a little later, has it in what is flushed", async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    onTestFinished(() => context.disable())
    const platform = vercel()
    const { exporter, processor } = delivering()
    const server = tracerFor(processor).startSpan('GET /')
    const handler = wrapHandler(() => {}, { processor })
    const { ended } = platform.request(() => {
      setTimeout(() => server.end(), 50)
      return context.with(trace.setSpan(ROOT_CONTEXT, server), () => handler())
    })
    await ended
    expect(exporter.names).toEqual(['GET /'])
  })

  test('a span of another request that stays open delays nothing that has ended', async () => {
    vi.useFakeTimers()
    const platform = vercel()
    const { exporter, processor } = delivering()
    const other = tracerFor(processor).startSpan('long poll of somebody else')
    const { ended } = platform.request(() => wrapHandler(() => end(processor, 'mine'), { processor })())
    await vi.advanceTimersByTimeAsync(0)
    expect(exporter.names).toEqual(['mine'])
    await vi.advanceTimersByTimeAsync(500)
    expect(await hasSettled(ended)).toBe(true)
    other.end()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('waitUntil is asked before the response is given, so that the platform cannot freeze in between', async () => {
    vercel()
    const { processor } = delivering()
    const order: string[] = []
    const handler = wrapHandler(() => void order.push('handled'), {
      processor,
      waitUntil: () => order.push('asked'),
    })
    await new FakePlatform().request(() => handler()).response
    order.push('responded')
    expect(order).toEqual(['handled', 'asked', 'responded'])
  })
})

describe('B54: a provider', () => {
  test('whose flush rejects or hangs changes nothing, and is told of once', async () => {
    const lines = captureDiag()
    const forceFlush = vi.fn(() => Promise.reject(new Error('the backend is gone')))
    const provider = { forceFlush, shutdown: async () => {}, getTracer: () => undefined as never }
    const handler = wrapHandler(() => 'answered', { provider, timeoutMillis: 200 })
    expect([await handler(), await handler()]).toEqual(['answered', 'answered'])
    expect(lines).toEqual(['tailrace: a flush of the provider failed: the backend is gone'])
    forceFlush.mockImplementation(() => new Promise(() => {}))
    const startedAt = performance.now()
    expect(await handler()).toBe('answered')
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })

  test("the API's own stands for the one that is registered", async () => {
    const exporter = deliveringExporter('stock')
    const registered = new BasicTracerProvider({
      spanProcessors: [
        new SimpleSpanProcessor(exporter as ConstructorParameters<typeof SimpleSpanProcessor>[0]),
      ],
    })
    const forceFlush = vi.spyOn(registered, 'forceFlush')
    let delegate: unknown = { getTracer: () => undefined }
    const api = { getTracer: () => undefined as never, getDelegate: () => delegate }
    const handler = wrapHandler(() => 'answered', { provider: api })
    expect(await handler()).toBe('answered')
    delegate = registered
    expect(await handler()).toBe('answered')
    expect(forceFlush).toHaveBeenCalled()
  })
})

describe('B54: flushEachRequest', () => {
  test('keeps a request alive from its first span until its last has ended and been sent', async () => {
    const platform = vercel()
    const exporter = gatedExporter('encoded')
    const processor = watchedProcessor(exporter, { scheduledDelayMillis: 0 })
    const tracer = tracerFor(flushEachRequest(processor))
    const { response, ended } = platform.request(() => {
      const root = tracer.startSpan('GET /')
      setTimeout(() => root.end(), 30)
    })
    await response
    expect(await hasSettled(ended)).toBe(false)
    await exporter.whenBatches(1)
    expect(exporter.names).toEqual(['GET /'])
    expect(await hasSettled(ended)).toBe(false)
    exporter.batches[0]!.release()
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
  })

  test('sends nothing while a span of the request is open, and all of them at once when the last has ended', async () => {
    vercel()
    const { exporter, processor } = delivering()
    const tracer = tracerFor(flushEachRequest(processor))
    const root = tracer.startSpan('GET /')
    tracer.startSpan('query', {}, trace.setSpan(ROOT_CONTEXT, root)).end()
    await microtasks()
    expect(exporter.batches).toEqual([])
    root.end()
    await vi.waitFor(() => expect(exporter.batches.map(({ names }) => names)).toEqual([['query', 'GET /']]))
  })

  test('a span that never ends is waited for no longer than 25 s, and what has ended is sent', async () => {
    vi.useFakeTimers()
    const platform = vercel()
    const { exporter, processor } = delivering()
    const each = flushEachRequest(processor)
    const tracer = tracerFor(each)
    const { ended } = platform.request(() => {
      tracer.startSpan('forgotten')
      tracer.startSpan('ended').end()
    })
    await vi.advanceTimersByTimeAsync(25_000)
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
    expect(exporter.names).toEqual(['ended'])
  })

  test('a span that outlives its request is sent when it ends', async () => {
    vi.useFakeTimers()
    vercel()
    const { exporter, processor } = delivering()
    const span = tracerFor(flushEachRequest(processor)).startSpan('late')
    await vi.advanceTimersByTimeAsync(25_000)
    span.end()
    await microtasks()
    expect(exporter.names).toEqual(['late'])
  })

  test('without a request context it sends all the same', async () => {
    const { exporter, processor } = delivering()
    tracerFor(flushEachRequest(processor)).startSpan('alone').end()
    await vi.waitFor(() => expect(exporter.names).toEqual(['alone']))
  })

  test('passes everything else on', async () => {
    const { processor } = delivering()
    const each = flushEachRequest(processor)
    end(each, 'a')
    expect((await each.flush()).exported).toBe(1)
    await each.forceFlush()
    await each.shutdown()
    end(each, 'b')
    expect(each.stats()).toMatchObject({ ended: 2, exported: 1, dropped: { already_shutdown: 1 } })
  })

  test('in Next.js a span that starts outside a request scope leaves it to the next one to ask', async () => {
    const { exporter, processor } = delivering()
    const given: Promise<unknown>[] = []
    let isInScope = false
    const after = vi.fn((task: Promise<unknown> | (() => unknown)) => {
      if (!isInScope) throw new Error('`after` was called outside a request scope')
      given.push(task as Promise<unknown>)
    })
    const each = next.flushEachRequest(processor, { after })
    const parent = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 }
    const child = { traceId: 'a'.repeat(32), spanId: 'c'.repeat(16), traceFlags: 1 }
    each.onStart({ spanContext: () => parent })
    isInScope = true
    each.onStart({ spanContext: () => child, parentSpanContext: parent })
    expect(after).toHaveBeenCalledTimes(2)
    expect(given).toHaveLength(1)
    await each.shutdown()
    expect(exporter.names).toEqual([])
  })
})

describe('B54: while Next.js builds', () => {
  test('wrapHandler only calls the handler, and flushEachRequest gives the processor back', async () => {
    vi.stubEnv('NEXT_PHASE', 'phase-production-build')
    const { exporter, processor } = delivering()
    const after = vi.fn()
    const handler = next.wrapHandler(() => end(processor, 'built'), { processor, after })
    await handler()
    await microtasks()
    expect(next.flushEachRequest(processor, { after })).toBe(processor)
    expect(after).not.toHaveBeenCalled()
    expect(exporter.names).toEqual([])
  })
})

describe('what is given wrongly is an error that names it', () => {
  const { processor } = delivering()
  const provider = new BasicTracerProvider()
  const after = () => {}
  const handler = () => {}

  test.each<[string, () => unknown, string]>([
    [
      'no function',
      () => wrapHandler('x' as never, { processor }),
      'wrapHandler: handler must be a function, not "x"',
    ],
    [
      'no options',
      () => wrapHandler(handler, undefined as never),
      'wrapHandler: options must be an object, not undefined',
    ],
    [
      'nothing to flush',
      () => wrapHandler(handler, {}),
      'wrapHandler: a processor or a provider must be given',
    ],
    [
      'both',
      () => wrapHandler(handler, { processor, provider }),
      'wrapHandler: processor and provider are both given',
    ],
    [
      'no provider',
      () => wrapHandler(handler, { provider: {} as never }),
      'wrapHandler: provider must be a tracer provider',
    ],
    [
      'a late deadline',
      () => wrapHandler(handler, { processor, timeoutMillis: 25_001 }),
      'wrapHandler: timeoutMillis must be a number from 0 to 25000, not 25001',
    ],
    [
      'a deadline in words',
      () => wrapHandler(handler, { processor, timeoutMillis: '5s' as never }),
      'timeoutMillis must be a number from 0 to 25000, not "5s"',
    ],
    ['NaN', () => wrapHandler(handler, { processor, timeoutMillis: Number.NaN }), 'not NaN'],
    [
      'no waitUntil',
      () => wrapHandler(handler, { processor, waitUntil: 1 as never }),
      'wrapHandler: waitUntil must be a function, not 1',
    ],
    [
      'a stock processor',
      () => flushEachRequest({ onStart() {}, onEnd() {} } as never),
      "flushEachRequest: processor must be a BatchSpanProcessor of 'tailrace'",
    ],
    [
      'no after',
      () => next.wrapHandler(handler, { processor } as never),
      "wrapHandler: after must be a function: import it from 'next/server', not undefined",
    ],
    [
      'no options',
      () => next.flushEachRequest(processor, undefined as never),
      'flushEachRequest: options must be an object',
    ],
    [
      'no handler',
      () => next.wrapHandler(undefined as never, { processor, after }),
      'wrapHandler: handler must be a function, not undefined',
    ],
  ])('%s', (_what, wrap, message) => {
    expect(wrap).toThrow(message)
  })
})
