import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import type { FetchFunction } from '../../src/transport/transport.ts'
import type { Outcome, PipelineExporter } from '../../src/types.ts'
import { attempt, batchOf, senderOf } from '../helpers/attempts.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import {
  answersWithBytes,
  hangsAfterReading,
  rejects,
  resetsAfterHeaders,
  resetsMidResponse,
} from '../helpers/misbehaviours.ts'

let collector: Collector
beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) vi.stubEnv(name, undefined)
  collector = await startCollector()
})
afterEach(() => collector.stop())

/** To the collector. */
function sender(options: OTLPTraceExporterOptions = {}): PipelineExporter {
  return senderOf({ url: collector.url, ...options })
}

function send(options: OTLPTraceExporterOptions = {}): Promise<Outcome> {
  return sender(options).send(batchOf(1), attempt())
}

function messageOf(outcome: Outcome): string {
  const { error } = outcome as { error: Error }
  return [error.message, error.stack, String(error.cause), JSON.stringify(error)].join()
}

describe('headers from a function', () => {
  it('B41: are asked for once per attempt', async () => {
    let token = 0
    const headers = vi.fn(async () => ({ Authorization: `Bearer ${++token}` }))
    const exporter = sender({ headers })
    expect(headers).not.toHaveBeenCalled()
    await exporter.send(batchOf(1), attempt())
    await exporter.send(batchOf(1), attempt())
    expect(collector.requests.map((request) => request.headers.authorization)).toEqual([
      'Bearer 1',
      'Bearer 2',
    ])
    expect(headers).toHaveBeenCalledTimes(2)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no token')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no token'))],
    ['answers with nothing', () => undefined],
    ['answers with a header that cannot be sent', () => ({ authorization: 'hunter2\r\nx: y' })],
    ['answers with a value that is no text', async () => ({ authorization: 5 })],
  ])('B41, B60: a function that %s is a retryable outcome, and nothing is sent', async (_does, headers) => {
    const outcome = await send({ headers: headers as unknown as () => Record<string, string> })
    expect(outcome).toMatchObject({ kind: 'retryable', error: { code: 'headers_failed' } })
    expect(messageOf(outcome)).not.toContain('hunter2')
    expect(collector.requests).toHaveLength(0)
  })

  it('B41: a function that hangs ends with the attempt, and nothing is sent later', async () => {
    const controller = new AbortController()
    let answer = (_headers: Record<string, string>): void => {}
    const headers = new Promise<Record<string, string>>((resolve) => {
      answer = resolve
    })
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    const pending = sender({ headers: () => headers, fetch }).send(batchOf(1), attempt(controller.signal))
    controller.abort(new DOMException('too late', 'TimeoutError'))
    expect(await pending).toMatchObject({ kind: 'retryable', error: { code: 'timeout' } })
    answer({})
    await headers
    await new Promise((resolve) => setImmediate(resolve))
    expect(fetch).not.toHaveBeenCalled()
  })

  it('B59: reach no prototype', async () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    const headers = JSON.parse('{"__proto__":"polluted","constructor":"x"}')
    await send({ headers, fetch })
    await send({ headers: () => headers, fetch })
    for (const [, init] of fetch.mock.calls) {
      const sent = new Map(Object.entries(init.headers!))
      expect([sent.get('__proto__'), sent.get('constructor')]).toEqual(['polluted', 'x'])
    }
  })
})

describe('an outcome', () => {
  it('B32: of a refused connection is retryable', async () => {
    await collector.stop()
    expect(await send()).toMatchObject({ kind: 'retryable', error: { code: 'network' } })
  })

  it('B27: of a stale socket says so, and the next attempt goes through', async () => {
    collector.script(answers(200), resetsAfterHeaders())
    const exporter = sender()
    await exporter.send(batchOf(1), attempt())
    await new Promise((resolve) => setImmediate(resolve))
    expect(await exporter.send(batchOf(1), attempt())).toMatchObject({ kind: 'retryable', staleSocket: true })
    expect(await exporter.send(batchOf(1), attempt())).toMatchObject({ kind: 'delivered' })
  })

  it('B32: of a 200 whose body breaks off is retryable', async () => {
    collector.script(resetsMidResponse(200))
    expect(await send()).toMatchObject({ kind: 'retryable', error: { code: 'network' } })
  })

  it('B33: carries the delay that the server asks for', async () => {
    collector.script(answers(503, { headers: { 'retry-after': '3' } }))
    expect(await send()).toMatchObject({ kind: 'retryable', retryAfterMillis: 3000, error: { status: 503 } })
    const inAWhile = new Date(Date.now() + 3_600_000).toUTCString()
    collector.script(answers(429, { headers: { 'retry-after': inAWhile } }))
    const outcome = (await send()) as { retryAfterMillis: number }
    expect(outcome.retryAfterMillis).toBeGreaterThan(3_500_000)
  })

  it.each(['protobuf', 'json'] as const)(
    'B36: of a partial success in %s counts what was rejected',
    async (encoding) => {
      const log = captureDiag()
      collector.script(rejects(2, 'too old', encoding), rejects(100, 'all', encoding))
      const exporter = sender({ encoding })
      expect(await exporter.send(batchOf(3), attempt())).toEqual({
        kind: 'delivered',
        rejected: 2,
        message: 'too old',
      })
      expect(await exporter.send(batchOf(3), attempt())).toMatchObject({ kind: 'delivered', rejected: 3 })
      expect(log).toEqual([])
    },
  )

  it('B36: with a message and nothing rejected is delivered, with one warning', async () => {
    const log = captureDiag()
    collector.otherwise(rejects(0, 'use the new endpoint'))
    const exporter = sender()
    for (let count = 0; count < 3; count++) {
      expect(await exporter.send(batchOf(1), attempt())).toMatchObject({ kind: 'delivered', rejected: 0 })
    }
    expect(log).toEqual([
      `tailrace: ${collector.url} accepted all spans with a warning: use the new endpoint`,
    ])
  })

  it('B36: of a 200 that cannot be read is delivered', async () => {
    const json = { 'content-type': 'application/json' }
    collector.script(
      answers(200, { body: '<html>', headers: json }),
      answers(200, { body: 'OK' }),
      answers(204),
    )
    const exporter = sender()
    for (let count = 0; count < 3; count++) {
      expect(await exporter.send(batchOf(1), attempt())).toEqual({ kind: 'delivered', rejected: 0 })
    }
  })

  it('B36: of a response above 4 MiB is final', async () => {
    collector.script(answersWithBytes(200, 4 * 1024 * 1024 + 1))
    expect(await send()).toMatchObject({ kind: 'final', error: { code: 'bad_response' } })
  })

  it('B34: comes at once when the signal is aborted, whatever an injected fetch does with it', async () => {
    const controller = new AbortController()
    const pending = sender({ fetch: () => new Promise(() => {}) }).send(
      batchOf(1),
      attempt(controller.signal),
    )
    controller.abort()
    expect(await pending).toMatchObject({ kind: 'retryable', error: { code: 'aborted' } })
    expect(await sender().send(batchOf(1), attempt(AbortSignal.abort()))).toMatchObject({ kind: 'retryable' })
    expect(collector.connectionCount).toBe(0)
  })

  it('B34: of an aborted attempt closes the socket', async () => {
    collector.script(hangsAfterReading())
    const controller = new AbortController()
    const pending = sender().send(batchOf(1), attempt(controller.signal))
    await collector.whenRequests(1)
    controller.abort()
    await pending
    await collector.whenClosed(1)
  })

  it.each([
    () => {
      throw new Error('no')
    },
    async () => 'no response',
    async () => ({ status: 200, headers: 'none', body: { getReader: 5 } }),
    async () => ({
      status: 200,
      get body() {
        throw new Error('no body')
      },
    }),
  ])('B60: is an outcome also for a broken fetch', async (fetch) => {
    const outcome = await send({ fetch: fetch as unknown as FetchFunction })
    expect(outcome.kind).toMatch(/retryable|final/)
  })

  it('B59: shows no header value, credentials or query, whatever the error says', async () => {
    const fetch: FetchFunction = async (url, { headers }) => {
      throw Object.assign(new Error(`cannot reach ${url} with ${JSON.stringify(headers)}`), { headers })
    }
    const url = 'https://alice:wonder%20land@collector.example/v1/traces?api-key=sesame'
    vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'x-env=from-env')
    const outcome = await send({ url, fetch, headers: async () => ({ 'x-token': 'Bearer hunter2' }) })
    const message = messageOf(outcome)
    expect(message).toContain('cannot reach https://collector.example/v1/traces')
    for (const secret of [
      'alice',
      'wonder',
      'land@',
      'sesame',
      'hunter2',
      'from-env',
      btoa('alice:wonder land'),
    ]) {
      expect(message).not.toContain(secret)
    }
  })
})
