import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as tick } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createTransport } from '../../src/transport/node-http.ts'
import type { TransportRequest } from '../../src/transport/transport.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { makeCertificate } from '../helpers/certificates.ts'
import { type Collector, startCollector } from '../helpers/misbehaving-collector.ts'

function request(url: string, rest: Partial<TransportRequest> = {}): TransportRequest {
  return { url, headers: {}, body: Uint8Array.from([1]), signal: new AbortController().signal, ...rest }
}

describe('proxies of node:http', () => {
  let proxy: Server
  let seen: IncomingMessage[]
  const sockets = new Set<Socket>()
  let proxyUrl: string
  let collector: Collector

  /** Sends everything to the collector, whatever name it was asked for. */
  beforeEach(async () => {
    seen = []
    collector = await startCollector()
    proxy = createServer((incoming, outgoing) => {
      seen.push(incoming)
      incoming.resume().on('end', () => outgoing.end())
    })
    proxy.on('connection', (socket) => sockets.add(socket))
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    proxyUrl = `http://user:p%40ss@127.0.0.1:${(proxy.address() as AddressInfo).port}`
    for (const name of ['http_proxy', 'https_proxy', 'no_proxy']) {
      vi.stubEnv(name, undefined)
      vi.stubEnv(name.toUpperCase(), undefined)
    }
  })
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    proxy.close()
    await collector.stop()
  })

  function tunnelTo(port: number): void {
    proxy.on('connect', (incoming, socket) => {
      seen.push(incoming)
      const target = connect(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
      target.pipe(socket).pipe(target)
      target.on('error', () => {})
      socket.on('error', () => {})
      socket.on('close', () => target.destroy())
    })
  }

  it.each(['HTTP_PROXY', 'http_proxy'])('B40: %s carries plain requests', async (name) => {
    vi.stubEnv(name, proxyUrl)
    const result = await createTransport().post(request('http://collector.example:4318/v1/traces?a=1'))
    expect(result).toMatchObject({ status: 200 })
    expect(seen[0]!.url).toBe('http://collector.example:4318/v1/traces?a=1')
    expect(seen[0]!.headers).toMatchObject({
      host: 'collector.example:4318',
      'proxy-authorization': `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
    })
  })

  it.each(['HTTPS_PROXY', 'https_proxy'])('B40: %s carries TLS through one tunnel', async (name) => {
    const certificate = makeCertificate('server')
    const secure = await startCollector({ tls: certificate })
    tunnelTo(secure.port)
    vi.stubEnv(name, proxyUrl)
    const transport = createTransport({ tls: { ca: certificate.cert } })
    for (let count = 0; count < 3; count++) {
      const result = await transport.post(
        request('https://localhost:4318/v1/traces', { headers: { 'x-key': 'k' } }),
      )
      expect(result).toMatchObject({ kind: 'response', status: 200 })
      await tick()
    }
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({ method: 'CONNECT', url: 'localhost:4318' })
    expect(seen[0]!.headers).toHaveProperty('proxy-authorization')
    expect(seen[0]!.headers).not.toHaveProperty('x-key')
    expect(secure.requests[0]!.headers).not.toHaveProperty('proxy-authorization')
    expect(secure.connectionCount).toBe(1)
    transport.close()
    await secure.whenClosed(1)
    await secure.stop()
  })

  it('B59: the certificate of the collector is verified through the tunnel, for the collector’s name', async () => {
    const certificate = makeCertificate('server')
    const secure = await startCollector({ tls: certificate })
    tunnelTo(secure.port)
    vi.stubEnv('HTTPS_PROXY', proxyUrl)
    const transport = createTransport({ tls: { ca: certificate.cert } })
    expect(await transport.post(request('https://collector.example/v1/traces'))).toMatchObject({
      reason: 'network',
      error: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    })
    await secure.stop()
  })

  it('B40: a proxy that refuses the tunnel is a network failure', async () => {
    proxy.on('connect', (_incoming, socket) =>
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
    )
    vi.stubEnv('HTTPS_PROXY', proxyUrl)
    expect(await createTransport().post(request('https://collector.example/'))).toMatchObject({
      reason: 'network',
      error: { message: 'the proxy answered CONNECT with 407' },
    })
  })

  it('B34: the signal ends a tunnel that hangs, and its socket', async () => {
    const connected = new Promise<Socket>((resolve) => {
      proxy.on('connect', (_incoming, socket) => resolve(socket as Socket))
    })
    vi.stubEnv('HTTPS_PROXY', proxyUrl)
    const controller = new AbortController()
    const pending = createTransport().post(
      request('https://collector.example/', { signal: controller.signal }),
    )
    const socket = await connected
    const ended = once(socket.resume(), 'end')
    controller.abort()
    expect(await pending).toMatchObject({ reason: 'aborted' })
    await ended
  })

  it.each(['*', '127.0.0.1', 'other.example, 127.0.0.1', '.0.0.1', '*.0.0.1'])(
    'B40: NO_PROXY=%s goes straight to the collector',
    async (value) => {
      vi.stubEnv('HTTP_PROXY', proxyUrl)
      vi.stubEnv('NO_PROXY', value)
      await createTransport().post(request(collector.url))
      expect(collector.requests).toHaveLength(1)
      expect(seen).toHaveLength(0)
    },
  )

  it.each(['27.0.0.1', '127.0.0.1:1', '127.0.0.1.example', ','])(
    'B40: NO_PROXY=%s does not',
    async (value) => {
      vi.stubEnv('HTTP_PROXY', proxyUrl)
      vi.stubEnv('NO_PROXY', value)
      await createTransport().post(request(collector.url))
      expect(collector.requests).toHaveLength(0)
      expect(seen).toHaveLength(1)
    },
  )

  it('B40: an agent of the user goes before the proxy', async () => {
    vi.stubEnv('HTTP_PROXY', proxyUrl)
    await createTransport({ agent: new Agent() }).post(request(collector.url))
    expect(collector.requests).toHaveLength(1)
    expect(seen).toHaveLength(0)
  })

  it('B59: a proxy that cannot be used is warned about without its value', async () => {
    const log = captureDiag()
    vi.stubEnv('HTTP_PROXY', 'socks5://user:hunter2@127.0.0.1')
    await createTransport().post(request(collector.url))
    expect(collector.requests).toHaveLength(1)
    expect(log).toEqual(['tailrace: HTTP_PROXY is ignored: not the URL of an http or https proxy'])
  })

  it('B40: in a CGI program HTTP_PROXY may be the client’s, and is not believed', async () => {
    vi.stubEnv('REQUEST_METHOD', 'GET')
    vi.stubEnv('HTTP_PROXY', proxyUrl)
    await createTransport().post(request(collector.url))
    expect(seen).toHaveLength(0)
  })
})
