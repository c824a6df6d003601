import { setImmediate as tick } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTransport as createFetchTransport } from '../../src/transport/fetch.ts'
import { createTransport as createNodeTransport } from '../../src/transport/node-http.ts'
import type { Transport, TransportRequest, TransportResponse } from '../../src/transport/transport.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import {
  answersAndCloses,
  answersBeforeReading,
  answersWithBytes,
  answersWithGzipBomb,
  closesAfterHeaders,
  drips,
  hangsAfterReading,
  hangsAtAccept,
  hangsMidResponse,
  hangsWhileReading,
  resetsAfterHeaders,
  resetsAfterReading,
  resetsAtAccept,
  resetsMidResponse,
  speaksNonsense,
  truncatesResponse,
  understatesLength,
} from '../helpers/misbehaviours.ts'

const MEBIBYTE = 1024 * 1024

/** What both transports do alike, over real sockets. */
describe.each([
  ['fetch', createFetchTransport],
  ['node:http', createNodeTransport],
])('the transport over %s', (_name, createTransport) => {
  let collector: Collector
  let transport: Transport

  beforeEach(async () => {
    collector = await startCollector()
    transport = createTransport()
  })
  afterEach(() => collector.stop())

  function request(rest: Partial<TransportRequest> = {}): TransportRequest {
    const headers = { 'content-type': 'application/x-protobuf', 'x-one': '1' }
    const { signal } = new AbortController()
    return { url: collector.url, headers, body: Uint8Array.from([1, 2, 3]), signal, ...rest }
  }

  it('B31: posts the body and the headers to the URL, query included', async () => {
    collector.script(answers(200, { headers: { 'x-answer': 'yes' }, body: 'fine' }))
    const result = await transport.post(request({ url: `${collector.url}?tenant=7` }))
    expect(result).toMatchObject({ kind: 'response', status: 200 })
    const { header, body } = result as TransportResponse
    expect(header('x-answer')).toBe('yes')
    expect(header('x-missing')).toBeUndefined()
    expect(Buffer.from(body).toString()).toBe('fine')
    const [received] = collector.requests
    expect(received).toMatchObject({ method: 'POST', path: '/v1/traces?tenant=7' })
    expect(received!.headers).toMatchObject({
      'content-type': 'application/x-protobuf',
      'content-length': '3',
      'x-one': '1',
    })
    expect([...received!.rawBody]).toEqual([1, 2, 3])
  })

  it('B31: sends only the view that it is given, of a larger buffer', async () => {
    const pooled = Uint8Array.from([9, 9, 1, 2, 9, 9])
    await transport.post(request({ body: pooled.subarray(2, 4) }))
    expect([...collector.requests[0]!.rawBody]).toEqual([1, 2])
  })

  it('B31: follows no redirect', async () => {
    collector.script(answers(307, { headers: { location: '/elsewhere' } }))
    expect(await transport.post(request())).toMatchObject({ kind: 'response', status: 307 })
    expect(collector.requests).toHaveLength(1)
  })

  it('B40: connections are kept and used again, after any status', async () => {
    collector.script(answers(200, { body: 'a' }), answers(503, { body: 'b' }), answers(307), answers(204))
    for (let count = 0; count < 10; count++) await transport.post(request())
    // Node's `fetch` takes a moment to put a connection back, and opens a second one meanwhile.
    expect(collector.connectionCount).toBeLessThanOrEqual(2)
  })

  it('B32: a refused connection is a network failure', async () => {
    await collector.stop()
    expect(await transport.post(request())).toMatchObject({
      kind: 'failure',
      reason: 'network',
      staleSocket: false,
    })
  })

  it('B32: a name that does not resolve is a network failure', async () => {
    const url = 'http://no-such-host.invalid/v1/traces'
    expect(await transport.post(request({ url }))).toMatchObject({ kind: 'failure', reason: 'network' })
  })

  it.each([
    ['resets at accept', resetsAtAccept],
    ['resets after the headers', resetsAfterHeaders],
    ['closes after the headers', closesAfterHeaders],
    ['resets after reading', resetsAfterReading],
    ['speaks no HTTP', speaksNonsense],
  ])(
    'B32: a server that %s is a network failure, on a fresh socket no stale one',
    async (_does, behaviour) => {
      collector.script(behaviour())
      expect(await transport.post(request())).toMatchObject({
        kind: 'failure',
        reason: 'network',
        staleSocket: false,
      })
      await collector.whenClosed(1)
    },
  )

  it.each([
    ['RST', resetsAfterHeaders],
    ['FIN', closesAfterHeaders],
  ])(
    'B27: %s on a kept-alive socket says that it was stale, and the next try succeeds',
    async (_how, dies) => {
      collector.script(answers(200), dies())
      await transport.post(request())
      await tick()
      expect(await transport.post(request())).toMatchObject({
        kind: 'failure',
        reason: 'network',
        staleSocket: true,
      })
      expect(await transport.post(request())).toMatchObject({ kind: 'response', status: 200 })
      expect(collector.requests.map(({ connection }) => connection)).toEqual([1, 1, 2])
    },
  )

  it('B40: a connection that the server closed while idle costs nothing', async () => {
    collector.script(answersAndCloses(200))
    expect(await transport.post(request())).toMatchObject({ status: 200 })
    await collector.whenClosed(1)
    expect(await transport.post(request())).toMatchObject({ status: 200 })
  })

  it.each([
    ['truncates', truncatesResponse],
    ['resets in the middle of', resetsMidResponse],
  ])('B32: the status is known of a server that %s its response', async (_does, behaviour) => {
    collector.script(behaviour(200))
    expect(await transport.post(request())).toMatchObject({
      kind: 'response',
      status: 200,
      failure: { reason: 'network', staleSocket: false },
    })
    await collector.whenClosed(1)
  })

  it('B32: a body longer than announced ends where it was announced to', async () => {
    collector.script(understatesLength(200))
    const { status, body } = (await transport.post(request())) as TransportResponse
    expect(status).toBe(200)
    expect(Buffer.from(body).toString()).toBe('mu')
    await transport.post(request())
  })

  it('B35: a server that answers before it has read the body is heard', async () => {
    collector.script(answersBeforeReading(413))
    const body = new Uint8Array(32 * MEBIBYTE) // more than the kernel buffers
    expect(await transport.post(request({ body }))).toMatchObject({ kind: 'response', status: 413 })
    // What is left of the connection is of no use, and no later request waits for it.
    await collector.whenClosed(1)
    expect(await transport.post(request())).toMatchObject({ kind: 'response', status: 200 })
  })

  it('B36: 4 MiB are read, one byte more is refused', async () => {
    collector.script(answersWithBytes(200, 4 * MEBIBYTE), answersWithBytes(200, 4 * MEBIBYTE + 1))
    const accepted = (await transport.post(request())) as TransportResponse
    expect(accepted.failure).toBeUndefined()
    expect(accepted.body).toHaveLength(4 * MEBIBYTE)
    const refused = (await transport.post(request())) as TransportResponse
    expect(refused.failure).toMatchObject({ reason: 'bad_response' })
  })

  it('B40: the connection of a response that is refused half way is closed', async () => {
    collector.script(answersWithBytes(200, 64 * MEBIBYTE))
    await transport.post(request())
    await collector.whenClosed(1)
  })

  it('B36: the limit holds after decompression', async () => {
    collector.script(answersWithGzipBomb(200, MEBIBYTE), answersWithGzipBomb(200, 32 * MEBIBYTE))
    const accepted = (await transport.post(request())) as TransportResponse
    expect(accepted.body).toHaveLength(MEBIBYTE)
    const refused = (await transport.post(request())) as TransportResponse
    expect(refused.failure).toMatchObject({ reason: 'bad_response' })
    expect(refused.body.length).toBeLessThanOrEqual(4 * MEBIBYTE)
  })

  it.each([
    ['hangs at accept', hangsAtAccept(), 'whenConnections'],
    ['hangs while reading', hangsWhileReading(), 'whenRequests'],
    ['hangs after reading', hangsAfterReading(), 'whenRequests'],
    ['hangs within its response', hangsMidResponse(200), 'whenRequests'],
    ['drips its response', drips(200, 5), 'whenRequests'],
  ] as const)(
    'B34: the signal ends a request to a server that %s, and its socket',
    async (_does, behaviour, seen) => {
      collector.script(behaviour)
      const controller = new AbortController()
      const pending = transport.post(
        request({ body: new Uint8Array(8 * MEBIBYTE), signal: controller.signal }),
      )
      await collector[seen](1)
      controller.abort(new DOMException('too late', 'TimeoutError'))
      const result = await pending
      const ended = result.kind === 'response' ? result.failure : result
      expect(ended).toMatchObject({ reason: 'aborted', error: { name: 'TimeoutError' } })
      await collector.whenClosed(1)
    },
  )

  it('B34: a signal that is aborted already lets nothing out', async () => {
    const result = await transport.post(request({ signal: AbortSignal.abort() }))
    expect(result).toMatchObject({ kind: 'failure', reason: 'aborted' })
    expect(collector.requests).toHaveLength(0)
  })

  it('B34: after an abort the transport goes on working', async () => {
    collector.script(hangsAfterReading())
    const controller = new AbortController()
    const pending = transport.post(request({ signal: controller.signal }))
    await collector.whenRequests(1)
    controller.abort()
    await pending
    expect(await transport.post(request())).toMatchObject({ kind: 'response', status: 200 })
  })

  it('B37: compresses to something that gunzip takes', async () => {
    const body = new TextEncoder().encode('span '.repeat(1000))
    const compressed = await transport.compress!(body)
    expect(compressed.length).toBeLessThan(body.length / 10)
    expect(gunzipSync(compressed).equals(body)).toBe(true)
  })
})
