import { afterEach, describe, expect, test, vi } from 'vitest'
import { fakeLambdaContext } from '../../src/testing/lambda-context.ts'
import { FakePlatform } from '../../src/testing/platform.ts'
import { hasSettled } from '../helpers/settling.ts'

afterEach(() => vi.useRealTimers())

const ok = async () => new Response('ok')
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

describe('FakePlatform', () => {
  test('a request is over when its response is, if nobody waits for more', async () => {
    const platform = new FakePlatform({ fetch: ok })
    const { response, ended } = platform.request(() => 'done')
    expect([await response, await ended]).toEqual(['done', { cutOff: 0, rejections: [] }])
  })

  test('waitUntil keeps it open until everything has settled, what was added meanwhile included', async () => {
    const platform = new FakePlatform({ fetch: ok })
    const order: string[] = []
    const { ended } = platform.request((context) => {
      const second = () => pause(20).then(() => order.push('second'))
      context.waitUntil(
        pause(20).then(() => {
          order.push('first')
          context.waitUntil(second())
        }),
      )
    })
    expect(await ended.then(() => order)).toEqual(['first', 'second'])
  })

  test('29,999 ms after the response waitUntil still holds; after 30,000 it is cut off', async () => {
    vi.useFakeTimers()
    const platform = new FakePlatform({ fetch: ok })
    const { ended } = platform.request((context) => context.waitUntil(new Promise(() => {})))
    await vi.advanceTimersByTimeAsync(29_999)
    expect(await hasSettled(ended)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await ended).toEqual({ cutOff: 1, rejections: [] })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a promise that rejects is reported', async () => {
    const reason = new Error('no')
    const platform = new FakePlatform({ fetch: ok })
    const { ended } = platform.request((context) => context.waitUntil(Promise.reject(reason)))
    expect(await ended).toEqual({ cutOff: 0, rejections: [reason] })
  })

  test('a handler that throws has a request that ends, too', async () => {
    const { response, ended } = new FakePlatform({ fetch: ok }).request(() => {
      throw new Error('broken')
    })
    await expect(response).rejects.toThrow('broken')
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
  })

  test.each(['read', 'cancelled'])('a streamed response lasts until it is %s', async (how) => {
    const { response, ended } = new FakePlatform({ fetch: ok }).request(
      () => new Response('body', { status: 201, headers: { 'x-kept': 'yes' } }),
    )
    const answer = await response
    expect(await hasSettled(ended)).toBe(false)
    if (how === 'read') expect(await answer.text()).toBe('body')
    else await answer.body?.cancel()
    expect(await ended).toEqual({ cutOff: 0, rejections: [] })
    expect([answer.status, answer.headers.get('x-kept')]).toEqual([201, 'yes'])
  })

  test('waitUntil is a method, takes promises, and comes too late after the end', async () => {
    const { response, ended } = new FakePlatform({ fetch: ok }).request((context) => {
      const { waitUntil } = context
      expect(() => waitUntil(Promise.resolve())).toThrow('Illegal invocation')
      expect(() => context.waitUntil('no promise' as never)).toThrow(TypeError)
      return context
    })
    const context = await response
    await ended
    expect(() => context.waitUntil(Promise.resolve())).toThrow('after the request was over')
  })

  test('what a request fetches works while it lives, for others too, and hangs without an error afterwards', async () => {
    let answer = () => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const platform = new FakePlatform({ fetch: () => answered.then(() => new Response('shared')) })
    let fetched: Promise<string> = Promise.resolve('')
    const first = platform.request((context) => {
      fetched = platform.fetch('http://a').then((response) => response.text())
      context.waitUntil(fetched)
    })
    const second = platform.request(() => fetched)
    answer()
    expect(await second.response).toBe('shared')
    await first.ended

    let late: Promise<unknown> = Promise.resolve()
    const slow = new FakePlatform({ fetch: () => pause(5).then(ok) })
    const forgetful = slow.request(() => {
      late = slow.fetch('http://a')
    })
    await forgetful.ended
    await pause(20)
    expect(await hasSettled(late)).toBe(false)
  })

  test('the end of a request aborts what it fetches', async () => {
    let signal: AbortSignal | null | undefined
    const platform = new FakePlatform({
      fetch: async (_input, init) => {
        signal = init?.signal
        return new Promise(() => {})
      },
    })
    const { ended } = platform.request(() => void platform.fetch('http://a'))
    expect(signal?.aborted).toBe(false)
    await ended
    expect(signal?.aborted).toBe(true)
  })

  test('installed, it is where the global fetch and timers are, and Vercel finds its request context', async () => {
    const before = [globalThis.fetch, globalThis.setTimeout, globalThis.clearTimeout]
    const platform = new FakePlatform({ fetch: async () => new Response('from the platform') })
    const uninstall = platform.install()
    const key = Symbol.for('@vercel/request-context')
    const get = () => (globalThis as unknown as Record<symbol, { get(): unknown }>)[key]?.get()
    const fired: string[] = []
    const first = platform.request(async (context) => {
      expect(get()).toBe(context)
      setTimeout(() => fired.push('late'), 30)
      const kept = setTimeout(() => fired.push('kept'), 5)
      platform.request(() => clearTimeout(kept))
      context.waitUntil(new Promise((resolve) => setTimeout(resolve, 15)))
      return (await fetch('http://a')).text()
    })
    expect(await first.response).toBe('from the platform')
    await first.ended
    await pause(40)
    expect(get()).toBeUndefined()
    uninstall()
    expect(fired).toEqual(['kept'])
    expect([globalThis.fetch, globalThis.setTimeout, globalThis.clearTimeout]).toEqual(before)
    expect(key in globalThis).toBe(false)
  })

  test('a limit that is none is a RangeError', () => {
    expect(() => new FakePlatform({ waitUntilMillis: 0 })).toThrow(
      'FakePlatform: waitUntilMillis must be positive, not 0',
    )
  })
})

describe('fakeLambdaContext', () => {
  test('has the time that the function has left, down to 0', async () => {
    vi.useFakeTimers()
    const context = fakeLambdaContext({ timeoutMillis: 500, functionName: 'checkout' })
    expect(context.getRemainingTimeInMillis()).toBe(500)
    vi.advanceTimersByTime(499)
    expect(context.getRemainingTimeInMillis()).toBe(1)
    vi.advanceTimersByTime(10)
    expect(context.getRemainingTimeInMillis()).toBe(0)
    expect(context).toMatchObject({ functionName: 'checkout', callbackWaitsForEmptyEventLoop: true })
    expect(context.invokedFunctionArn).toMatch(/:function:checkout$/)
    expect(fakeLambdaContext().awsRequestId).not.toBe(context.awsRequestId)
  })

  test('a timeout that Lambda does not have is a RangeError', () => {
    expect(() => fakeLambdaContext({ timeoutMillis: 900_001 })).toThrow('not 900001')
  })
})
