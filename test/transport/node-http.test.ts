import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as tick } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTransport } from '../../src/transport/node-http.ts'
import type { TransportRequest } from '../../src/transport/transport.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { type Certificate, makeCertificate } from '../helpers/certificates.ts'
import { type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { answersAfter, hangsAtAccept } from '../helpers/misbehaviours.ts'

function request(url: string, rest: Partial<TransportRequest> = {}): TransportRequest {
  return { url, headers: {}, body: Uint8Array.from([1]), signal: new AbortController().signal, ...rest }
}

describe('compression', () => {
  it('B37: is done off the event loop', async () => {
    const zlib = process.getBuiltinModule('node:zlib')
    const inThreadPool = vi.spyOn(zlib, 'gzip')
    const blocking = vi.spyOn(zlib, 'gzipSync')
    onTestFinished(() => void vi.restoreAllMocks())
    const transport = createTransport()
    await transport.compress?.(new Uint8Array(1000))
    transport.close()
    expect(inThreadPool).toHaveBeenCalledTimes(1)
    expect(blocking).not.toHaveBeenCalled()
  })
})

describe('connections of node:http', () => {
  let collector: Collector
  beforeEach(async () => {
    collector = await startCollector()
  })
  afterEach(() => collector.stop())

  it('B40: one connection carries all requests that come one after the other', async () => {
    const transport = createTransport()
    for (let count = 0; count < 10; count++) {
      await transport.post(request(collector.url))
      await tick()
    }
    expect(collector.connectionCount).toBe(1)
  })

  it('B40: ten requests at once share four connections', async () => {
    const transport = createTransport()
    await Promise.all(Array.from({ length: 10 }, () => transport.post(request(collector.url))))
    expect(collector.requests).toHaveLength(10)
    expect(collector.connectionCount).toBe(4)
  })

  it('B40: closing leaves what is under way alone and then closes the connection', async () => {
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    collector.script(answersAfter(answered, 200))
    const transport = createTransport()
    const pending = transport.post(request(collector.url))
    await collector.whenRequests(1)
    expect(await transport.post(request(collector.url))).toMatchObject({ status: 200 })
    transport.close()
    answer()
    expect(await pending).toMatchObject({ kind: 'response', status: 200 })
    await Promise.all([collector.whenClosed(1), collector.whenClosed(2)])
  })

  it('B40: closing before the first request, or twice, does nothing', () => {
    const transport = createTransport()
    transport.close()
    transport.close()
  })

  it('B40: an agent of the user is used as given and not destroyed', async () => {
    const agent = new Agent({ keepAlive: true })
    const destroy = vi.spyOn(agent, 'destroy')
    const transport = createTransport({ agent })
    await transport.post(request(collector.url))
    await tick()
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1)
    transport.close()
    expect(destroy).not.toHaveBeenCalled()
    agent.destroy()
  })

  it('B40: a function that makes the agent is called once, at the first request, with the protocol', async () => {
    const agent = new Agent()
    const makeAgent = vi.fn(async (_protocol: string) => agent)
    const transport = createTransport({ agent: makeAgent })
    expect(makeAgent).not.toHaveBeenCalled()
    await transport.post(request(collector.url))
    await transport.post(request(collector.url))
    expect(makeAgent.mock.calls).toEqual([['http:']])
  })

  it('B60: an agent function that fails is a failure of that request only', async () => {
    let calls = 0
    const transport = createTransport({
      agent: () => {
        if (calls++ === 0) throw new Error('not yet')
        return new Agent()
      },
    })
    const failed = await transport.post(request(collector.url))
    expect(failed).toMatchObject({ kind: 'failure', reason: 'network', error: { message: 'not yet' } })
    expect(await transport.post(request(collector.url))).toMatchObject({ status: 200 })
  })

  it('B34: a name server that never answers does not outlast the signal', async () => {
    const lookup = vi.fn(() => {})
    const transport = createTransport({ agent: new Agent({ lookup } as object) })
    const controller = new AbortController()
    const pending = transport.post(request('http://collector.example/', { signal: controller.signal }))
    await vi.waitFor(() => expect(lookup).toHaveBeenCalled())
    controller.abort()
    expect(await pending).toMatchObject({ kind: 'failure', reason: 'aborted' })
  })
})

describe('TLS of node:http', () => {
  let server: Certificate
  let client: Certificate
  let directory: string
  let collector: Collector

  beforeAll(() => {
    server = makeCertificate('server')
    client = makeCertificate('client')
  })
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tailrace-'))
    collector = await startCollector({
      tls: { ...server, ca: client.cert, requestCert: true, rejectUnauthorized: true },
    })
  })
  afterEach(async () => {
    rmSync(directory, { recursive: true })
    await collector.stop()
  })

  function file(name: string, text: string): string {
    const path = join(directory, name)
    writeFileSync(path, text)
    return path
  }

  it('B59: a certificate that nobody vouches for is refused', async () => {
    expect(await createTransport().post(request(collector.url))).toMatchObject({
      kind: 'failure',
      reason: 'network',
      error: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    })
    expect(collector.requests).toHaveLength(0)
  })

  it('B40: certificates and key given as options work', async () => {
    const transport = createTransport({ tls: { ca: server.cert, ...client } })
    expect(await transport.post(request(collector.url))).toMatchObject({ status: 200 })
  })

  it.each(['', 'TRACES_'])(
    'B40: certificates and key in files named by OTEL_EXPORTER_OTLP_%s* work',
    async (infix) => {
      vi.stubEnv(`OTEL_EXPORTER_OTLP_${infix}CERTIFICATE`, file('ca.pem', server.cert))
      vi.stubEnv(`OTEL_EXPORTER_OTLP_${infix}CLIENT_CERTIFICATE`, file('cert.pem', client.cert))
      vi.stubEnv(`OTEL_EXPORTER_OTLP_${infix}CLIENT_KEY`, file('key.pem', client.key))
      expect(await createTransport().post(request(collector.url))).toMatchObject({ status: 200 })
    },
  )

  it('B47: options stand above the TRACES variables, and those above the general ones', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_CERTIFICATE', file('wrong.pem', client.cert))
    vi.stubEnv('OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE', file('ca.pem', server.cert))
    vi.stubEnv('OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE', file('bad.pem', server.cert))
    vi.stubEnv('OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY', file('bad-key.pem', server.key))
    expect(await createTransport({ tls: client }).post(request(collector.url))).toMatchObject({ status: 200 })
  })

  it('B47: a file that cannot be read is warned about with its variable, never its value, and left out', async () => {
    const log = captureDiag()
    const path = join(directory, 'missing.pem')
    vi.stubEnv('OTEL_EXPORTER_OTLP_CERTIFICATE', path)
    const transport = createTransport()
    expect(await transport.post(request(collector.url))).toMatchObject({ reason: 'network' })
    await transport.post(request(collector.url))
    expect(log).toEqual([
      'tailrace: OTEL_EXPORTER_OTLP_CERTIFICATE must be the path of a PEM file that can be read (ENOENT)',
    ])
  })

  it('B59: a key that is none is a failure that does not show it', async () => {
    const transport = createTransport({ tls: { ca: server.cert, cert: client.cert, key: 'hunter2' } })
    const result = await transport.post(request(collector.url))
    expect(result).toMatchObject({ kind: 'failure', reason: 'network' })
    expect(String(Object(result).error)).not.toContain('hunter2')
  })

  it('B34: a TLS handshake that hangs ends with the signal, and its socket', async () => {
    const deaf = await startCollector()
    deaf.script(hangsAtAccept())
    const controller = new AbortController()
    const url = deaf.url.replace('http:', 'https:')
    const pending = createTransport().post(request(url, { signal: controller.signal }))
    await deaf.whenConnections(1)
    controller.abort()
    expect(await pending).toMatchObject({ kind: 'failure', reason: 'aborted' })
    await deaf.whenClosed(1)
    await deaf.stop()
  })
})
