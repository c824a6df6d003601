/** tailrace/vercel in edge-runtime: no `process`, `Buffer`, `CompressionStream`, `AsyncLocalStorage` or `unref` there. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { namesOf } from '../helpers/gates.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeJson } from '../helpers/otlp-schema.ts'
import { isInReadme } from '../helpers/readme.ts'
import { type EdgeServer, serveEdgeFunctions } from './edge-functions.ts'

let collector: Collector
let server: EdgeServer
/** Answers the requests that the collector holds. */
let release = () => {}
let seen = 0

beforeAll(async () => {
  collector = await startCollector()
  server = await serveEdgeFunctions(collector.url)
})

afterAll(async () => {
  release()
  await server?.close()
  await collector?.stop()
})

beforeEach(() => {
  let isOpen = false
  const held: (() => void)[] = []
  release = () => {
    isOpen = true
    for (const answer of held.splice(0)) answer()
  }
  collector.otherwise({
    stage: 'request',
    act(socket, request) {
      const answer = () => answers(200).act(socket, request)
      if (isOpen) answer()
      else held.push(answer)
    },
  })
  seen = collector.requests.length
})

function call(path: string, context = 'vercel'): Promise<Response> {
  return fetch(new URL(path, server.url), { headers: { 'x-context': context } })
}

/** The names of the spans that the collector has received in this test. */
function received(): string[] {
  return collector.requests
    .slice(seen)
    .flatMap(({ headers, body }) =>
      /json/.test(headers['content-type'] ?? '')
        ? decodeJson(body).resourceSpans.flatMap(({ scopeSpans }) =>
            scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name)),
          )
        : namesOf(body),
    )
}

describe('B54: in edge-runtime', () => {
  it('the example is what README prints', () => {
    expect(isInReadme('vercel.ts')).toBe(true)
  })

  it('the example answers before the collector does, and its spans are delivered after the response', async () => {
    const response = await call('/orders')
    expect(await response.json()).toEqual(['Füller', '傘'])
    await collector.whenRequests(seen + 1)
    release()
    await server.waitUntil()
    expect(received()).toEqual(['list orders'])
  })

  it('the example delivers when its handler throws, and the error stays its own', async () => {
    const response = await call('/broken')
    expect([response.status, await response.text()]).toEqual([500, 'no orders today'])
    await collector.whenRequests(seen + 1)
    release()
    await server.waitUntil()
    expect(received()).toEqual(['list orders'])
  })

  it('waitUntil of @vercel/functions is used where it is given', async () => {
    expect(await (await call('/given')).text()).toBe('answered')
    release()
    await server.waitUntil()
    expect(received()).toEqual(['answer'])
  })

  it('a streamed body is flushed at its end, with status and headers kept', async () => {
    release()
    const response = await call('/streamed')
    const reader = response.body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('first')
    expect(received()).toEqual([])
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('second')
    expect((await reader.read()).done).toBe(true)
    await server.waitUntil()
    expect(received()).toEqual(['stream'])
    expect([response.status, response.headers.get('x-kept')]).toEqual([201, 'yes'])
  })

  it('a response without a body is flushed, and stays without one', async () => {
    const response = await call('/empty')
    expect([response.status, await response.text()]).toEqual([204, ''])
    release()
    await server.waitUntil()
    expect(received()).toEqual(['empty'])
  })

  it("a framework's own span, which ends after the handler, is in what is flushed", async () => {
    release()
    await (await call('/server-span')).text()
    await server.waitUntil()
    expect(received().sort()).toEqual(['GET /server-span', 'answer'])
  })

  it('a provider without our processor is flushed by its own forceFlush', async () => {
    expect(await (await call('/stock')).text()).toBe('answered')
    release()
    await server.waitUntil()
    expect(received()).toEqual(['stock'])
  })

  it('flushEachRequest delivers a span that ends after the response, without any wrapping', async () => {
    expect(await (await call('/each-request')).text()).toBe('answered')
    release()
    await server.waitUntil()
    expect(received()).toEqual(['each request'])
  })

  it.each([
    ['missing', '/answer', 'answer'],
    ['throwing', '/answer', 'answer'],
    ['refusing', '/answer', 'answer'],
    ['missing', '/given', 'answer'],
    ['missing', '/empty', 'empty'],
    ['missing', '/broken', 'list orders'],
  ])(
    'with a request context that is %s, %s is complete only when its spans are delivered',
    async (context, path, name) => {
      const response = call(path, context).then((answer) => answer.text())
      await collector.whenRequests(seen + 1)
      const held = new Promise((resolve) => setTimeout(resolve, 200, 'held'))
      expect(await Promise.race([response, held])).toBe('held')
      release()
      await response
      expect(received()).toEqual([name])
    },
  )

  it('without a request context, a collector that never answers holds a response for 2 s at most', async () => {
    const startedAt = performance.now()
    expect(await (await call('/answer', 'missing')).text()).toBe('answered')
    expect(performance.now() - startedAt).toBeLessThan(4000)
    release()
  })

  it('the whole root entry works', async () => {
    release()
    const { ledgers, ...report } = (await (await call('/root-entry')).json()) as {
      ledgers: { ended: number; exported: number; pending: number; dropped: { retry_exhausted: number } }[]
    }
    const spans = ['span 0', 'span 1', 'span 2', 'span 3', 'span 4']
    expect(report).toEqual({
      absent: [],
      statuses: ['success', 'success', 'success', 'success', 'success', 'failure'],
      refused: 'network',
      inMemory: spans,
      lines: 1,
    })
    for (const { ended, exported, pending } of ledgers.slice(0, 5)) {
      expect([ended, exported, pending]).toEqual([5, 5, 0])
    }
    expect(ledgers[5]).toMatchObject({ ended: 5, exported: 0, pending: 0, dropped: { retry_exhausted: 5 } })
    expect(received().sort()).toEqual([...spans, ...spans, ...spans].sort())
    const mine = collector.requests.slice(seen)
    expect(mine.filter(({ headers }) => headers['x-tenant'] === 'edge')).toHaveLength(1)
    // There is no CompressionStream.
    expect(mine.some(({ headers }) => 'content-encoding' in headers)).toBe(false)
  })
})
