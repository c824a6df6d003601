import { readFileSync } from 'node:fs'
import { type Context, type ContextManager, context, ROOT_CONTEXT } from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { OTLPTraceExporterOptions } from '../../src/otlp/options.ts'
import type { FetchFunction } from '../../src/transport/transport.ts'
import type { Outcome, PipelineExporter } from '../../src/types.ts'
import { VERSION } from '../../src/version.ts'
import { attempt, batchOf, senderOf } from '../helpers/attempts.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { answersBeforeReading, hangsAfterReading } from '../helpers/misbehaviours.ts'

const AGENT = `tailrace/${VERSION} OTel-OTLP-Exporter-JavaScript/${VERSION}`

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

describe('a request', () => {
  it('B31: is a POST of the batch, with content type and user agent', async () => {
    expect(await send()).toEqual({ kind: 'delivered', rejected: 0 })
    const [request] = collector.requests
    expect(request).toMatchObject({ method: 'POST', path: '/v1/traces' })
    expect(request!.headers).toMatchObject({ 'content-type': 'application/x-protobuf', 'user-agent': AGENT })
    expect(request!.headers).not.toHaveProperty('content-encoding')
    expect(request!.rawBody.toString()).toBe('span ')
  })

  it('B31: in JSON says so', async () => {
    await send({ encoding: 'json' })
    expect(collector.requests[0]!.headers['content-type']).toBe('application/json')
  })

  it('B31: carries the version of package.json', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(VERSION).toBe(version)
  })

  it('B31: puts the user’s agent before ours', async () => {
    await send({ userAgent: 'shop/2' })
    expect(collector.requests[0]!.headers['user-agent']).toBe(`shop/2 ${AGENT}`)
  })

  it('B31: leaves the user agent to a browser', async () => {
    vi.stubGlobal('document', {})
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    await send({ fetch })
    expect(fetch.mock.calls[0]![1].headers).not.toHaveProperty('user-agent')
  })

  it('B31: is never an empty envelope', async () => {
    expect(await sender().send(batchOf(0), attempt())).toEqual({ kind: 'delivered', rejected: 0 })
    expect(collector.requests).toHaveLength(0)
  })

  it('B31: takes the user’s headers above those of the environment, but describes its body itself', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'a=env,b=env')
    const ours = { 'Content-Type': 'text/plain', 'content-encoding': 'br', 'Content-Length': '7' }
    await send({ headers: { B: 'code', 'User-Agent': 'mine', 'Transfer-Encoding': 'chunked', ...ours } })
    const { headers, rawBody } = collector.requests[0]!
    expect(headers).toMatchObject({ a: 'env', b: 'code', 'user-agent': 'mine', 'content-length': '5' })
    expect(headers['content-type']).toBe('application/x-protobuf')
    expect(headers).not.toHaveProperty('content-encoding')
    expect(headers).not.toHaveProperty('transfer-encoding')
    expect(rawBody.toString()).toBe('span ')
  })

  it('B31: turns credentials in the URL into a header, and leaves them out of the URL', async () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    await send({ url: 'https://us%C3%A9r:p%40ss@collector.example/x?y=1', fetch })
    const [url, { headers }] = fetch.mock.calls[0]!
    expect(url).toBe('https://collector.example/x?y=1')
    expect(headers).toHaveProperty('authorization', `Basic ${Buffer.from('usér:p@ss').toString('base64')}`)
  })

  it('B31: starts within the call of `send` when nothing has to be awaited', () => {
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    void send({ fetch })
    expect(fetch).toHaveBeenCalledOnce()
  })

  it('B37: is compressed once per batch, not per attempt', async () => {
    collector.script(answers(503))
    const exporter = sender({ compression: 'gzip' })
    const large = batchOf(1000)
    await exporter.send(large, attempt())
    await exporter.send(large, attempt())
    const [first, second] = collector.requests
    expect(first!.headers['content-encoding']).toBe('gzip')
    expect(first!.rawBody.length).toBeLessThan(large.body.length / 10)
    expect(first!.body.equals(large.body)).toBe(true)
    expect(second!.rawBody.equals(first!.rawBody)).toBe(true)
  })

  it('B37: goes out uncompressed, with one warning, where there is no compression', async () => {
    const log = captureDiag()
    vi.stubGlobal('CompressionStream', undefined)
    const fetch = vi.fn<FetchFunction>(async () => new Response())
    const exporter = sender({ compression: 'gzip', fetch })
    await exporter.send(batchOf(1), attempt())
    await exporter.send(batchOf(1), attempt())
    expect(fetch.mock.calls[1]![1].headers).not.toHaveProperty('content-encoding')
    expect(fetch.mock.calls[1]![1].body).toHaveLength(5)
    expect(log).toEqual(['tailrace: gzip is not available here: requests are sent uncompressed'])
  })

  it.each([
    ['answered', 200],
    ['refused', 503],
  ])('says that nobody reads its body any more, once it is written and %s', async (_how, status) => {
    collector.script(answers(status))
    const batch = batchOf(1000)
    await sender().send(batch, attempt())
    expect(batch.readers).toBe(0)
  })

  it('that was given up may still be read, whatever later attempts say', async () => {
    collector.script(hangsAfterReading())
    const batch = batchOf(1000)
    const exporter = sender()
    const controller = new AbortController()
    const given = exporter.send(batch, attempt(controller.signal))
    await collector.whenRequests(1)
    controller.abort()
    await given
    await exporter.send(batch, attempt())
    expect(batch.readers).toBe(1)
  })

  it('that was answered before it was read may still be read', async () => {
    collector.script(answersBeforeReading(200))
    const batch = batchOf(4_000_000)
    expect(await sender().send(batch, attempt())).toMatchObject({ kind: 'delivered' })
    expect(batch.readers).toBe(1)
  })

  it('over `fetch` may still be read: nobody says when it has been', async () => {
    const batch = batchOf(1)
    await sender({ fetch: async () => new Response() }).send(batch, attempt())
    expect(batch.readers).toBe(1)
  })

  it('B35: above maxRequestBytes is never sent', async () => {
    const exporter = sender({ maxRequestBytes: 10 })
    expect(await exporter.send(batchOf(2), attempt())).toMatchObject({ kind: 'delivered' })
    expect(await exporter.send(batchOf(3), attempt())).toMatchObject({
      kind: 'too_large',
      error: { code: 'too_large', message: 'a request of 15 bytes exceeds maxRequestBytes (10)' },
    })
    expect(collector.requests).toHaveLength(1)
  })

  it('B29: is made in the context of the caller, also when something was awaited before', async () => {
    // Like the browser's: it knows nothing of promises.
    let active: Context = ROOT_CONTEXT
    const synchronousManager: ContextManager = {
      active: () => active,
      with(next, work, thisArg, ...parameters) {
        const previous = active
        active = next
        try {
          return work.call(thisArg as never, ...parameters)
        } finally {
          active = previous
        }
      },
      bind: (_context, target) => target,
      enable: () => synchronousManager,
      disable: () => synchronousManager,
    }
    context.setGlobalContextManager(synchronousManager)
    onTestFinished(() => context.disable())
    const key = Symbol('test')
    const seen: unknown[] = []
    const fetch: FetchFunction = async () => {
      seen.push(context.active().getValue(key))
      return new Response()
    }
    const exporter = sender({ fetch, compression: 'gzip', headers: async () => ({}) })
    await context.with(ROOT_CONTEXT.setValue(key, 'suppressed'), () => exporter.send(batchOf(1), attempt()))
    expect(seen).toEqual(['suppressed'])
  })
})
