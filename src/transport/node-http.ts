/**
 * The transport over `node:http` and `node:https`. The modules are loaded at the first request, and through
 * `process.getBuiltinModule` where there is one: importing `node:http` as an ES module pulls in all of undici.
 */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { context } from '@opentelemetry/api'
import { environmentVariable, warnOnce } from '../environment.ts'
import { address, proxyFor, proxyHeaders, type TunnelRequest, tunnelAgent } from './node-proxy.ts'
import {
  concatenate,
  failure,
  MAX_RESPONSE_BYTES,
  type TlsOptions,
  type Transport,
  type TransportFailure,
  type TransportOptions,
  type TransportRequest,
  type TransportResult,
} from './transport.ts'

/** Enough for a processor, which sends one request after the other, and a brake for whoever sends many at once. */
const MAX_SOCKETS = 4

/** An idle connection lives no longer; with a limit of its own the agent also heeds the server's `Keep-Alive`. */
const IDLE_TIMEOUT_MILLIS = 60_000

/** How Node names a kept-alive connection that the server has closed. */
const CLOSED_SOCKET = /^(ECONNRESET|EPIPE)$/

/** What all requests to one URL have in common. */
interface Route {
  readonly client: Pick<typeof import('node:http'), 'request'>
  readonly options: RequestOptions
  readonly headers: Record<string, string>
  /** Ours to destroy. */
  readonly ownAgent: Agent | undefined
  readonly tls?: TlsAgentOptions
}

/** Makes the transport. Loads, reads and opens nothing before the first request; never throws. */
export function createTransport(options: TransportOptions = {}): Transport {
  let route: Route | undefined
  let routing: Promise<Route> | undefined
  let inFlight = 0
  let isClosed = false
  /** Those of the environment are read with the first request. */
  let tls: TlsOptions = options.tls ?? {}

  /** An agent destroyed earlier would take the requests that are under way with it. */
  function destroyIdle(): void {
    if (isClosed && inFlight === 0) route?.ownAgent?.destroy()
  }

  return {
    compress,
    direct: (url) => (options.agent || proxyFor(new URL(url)) ? undefined : { tls }),
    close() {
      isClosed = true
      destroyIdle()
    },
    async post(request) {
      inFlight++
      // A synchronous context manager loses the caller's context, in which tracing is suppressed, at an `await`.
      const callersContext = context.active()
      try {
        if (!route) {
          routing ??= findRoute(new URL(request.url), options)
          route = await routing
          tls = route.tls ?? tls
        }
        if (request.signal.aborted) return failure('aborted', request.signal.reason)
        const found = route
        return await context.with(callersContext, () => exchange(found, request))
      } catch (error) {
        routing = undefined
        return failure('network', error)
      } finally {
        inFlight--
        destroyIdle()
      }
    },
  }
}

async function loadHttp(): Promise<typeof import('node:http')> {
  return process.getBuiltinModule?.('node:http') ?? import('node:http')
}

async function loadHttps(): Promise<typeof import('node:https')> {
  return process.getBuiltinModule?.('node:https') ?? import('node:https')
}

async function findRoute(url: URL, { agent, tls }: TransportOptions): Promise<Route> {
  const isTls = url.protocol === 'https:'
  const direct = { ...address(url), path: url.pathname + url.search }
  if (agent) {
    const given = (typeof agent === 'function' ? await agent(url.protocol) : agent) as Agent
    const client = isTls ? await loadHttps() : await loadHttp()
    return { client, options: { ...direct, agent: given }, headers: {}, ownAgent: undefined }
  }
  const proxy = proxyFor(url)
  const pool = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_TIMEOUT_MILLIS }
  if (isTls) {
    const https = await loadHttps()
    const pems = await readTls(tls)
    const secure = { ...pool, ...pems }
    const ownAgent = proxy ? tunnelAgent(await loadHttp(), https, proxy, secure) : new https.Agent(secure)
    return { client: https, options: { ...direct, agent: ownAgent }, headers: {}, ownAgent, tls: pems }
  }
  const client = proxy?.protocol === 'https:' ? await loadHttps() : await loadHttp()
  const ownAgent = new client.Agent(pool)
  if (!proxy) return { client, options: { ...direct, agent: ownAgent }, headers: {}, ownAgent }
  return {
    client,
    options: { ...address(proxy), path: url.href, agent: ownAgent },
    headers: { host: url.host, ...proxyHeaders(proxy) },
    ownAgent,
  }
}

/** Options in code, then files named by the environment: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */
async function readTls(options: TlsOptions | undefined): Promise<TlsAgentOptions> {
  return {
    ca: (options?.ca as string) ?? (await readPem('CERTIFICATE')),
    cert: (options?.cert as string) ?? (await readPem('CLIENT_CERTIFICATE')),
    key: (options?.key as string) ?? (await readPem('CLIENT_KEY')),
  }
}

interface TlsAgentOptions {
  ca: string | undefined
  cert: string | undefined
  key: string | undefined
}

async function readPem(suffix: string): Promise<string | undefined> {
  for (const name of [`OTEL_EXPORTER_OTLP_TRACES_${suffix}`, `OTEL_EXPORTER_OTLP_${suffix}`]) {
    const path = environmentVariable(name)
    if (!path) continue
    try {
      const { promises } = process.getBuiltinModule?.('node:fs') ?? (await import('node:fs'))
      return await promises.readFile(path, 'utf8')
    } catch (error) {
      // Not the value: somebody may have put the key itself there.
      warnOnce(
        `${name} must be the path of a PEM file that can be read (${(error as NodeJS.ErrnoException).code})`,
      )
      return undefined
    }
  }
  return undefined
}

function exchange(route: Route, { headers, body, signal }: TransportRequest): Promise<TransportResult> {
  return new Promise((resolve) => {
    const options: RequestOptions & TunnelRequest = {
      ...route.options,
      method: 'POST',
      headers: { ...route.headers, ...headers, 'content-length': body.length },
      connectSignal: signal,
    }
    const request: ClientRequest = route.client.request(options)
    let hasResponse = false

    function settle(result: TransportResult): void {
      signal.removeEventListener('abort', onAbort)
      // A server may answer before it has read everything; such a connection is of no more use.
      if (!request.writableFinished) request.destroy()
      resolve(result)
    }
    function onAbort(): void {
      request.destroy()
      settle(failure('aborted', signal.reason))
    }

    signal.addEventListener('abort', onAbort)
    // Stays to the end: a connection may break after the response, too.
    request.on('error', (error: NodeJS.ErrnoException) => {
      const staleSocket = request.reusedSocket && CLOSED_SOCKET.test(String(error.code))
      if (!hasResponse) settle(failure('network', error, staleSocket))
    })
    // Such as after 101: the connection is gone, and nobody says why.
    request.once('close', () => {
      if (!hasResponse) settle(failure('network', new Error('connection closed without a response')))
    })
    request.once('response', async (response) => {
      hasResponse = true
      const read = await readBody(response)
      settle({
        kind: 'response',
        status: response.statusCode ?? 0,
        isRequestWritten: request.writableFinished,
        header: (name) => {
          const value = response.headers[name]
          return Array.isArray(value) ? value[0] : value
        },
        ...read,
      })
    })
    request.end(body)
  })
}

interface ReadBody {
  readonly body: Uint8Array
  readonly failure?: TransportFailure
}

function tooLarge(): TransportFailure {
  return failure('bad_response', new RangeError('response larger than 4 MiB'))
}

/** Reads the body to its end or destroys the connection. Never rejects. */
async function readBody(response: IncomingMessage): Promise<ReadBody> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  let problem: TransportFailure | undefined
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > MAX_RESPONSE_BYTES) {
        problem = tooLarge()
        break // which destroys the response
      }
      chunks.push(chunk)
    }
  } catch (error) {
    problem = failure('network', error)
  }
  if (problem) return { body: new Uint8Array(), failure: problem }
  const body = concatenate(chunks, bytes)
  return response.headers['content-encoding'] === 'gzip' ? decompress(body) : { body }
}

async function loadZlib(): Promise<typeof import('node:zlib')> {
  return process.getBuiltinModule?.('node:zlib') ?? import('node:zlib')
}

/** We ask for no compression, but some proxies compress all the same. */
async function decompress(compressed: Uint8Array): Promise<ReadBody> {
  const { gunzip } = await loadZlib()
  return new Promise((resolve) => {
    gunzip(compressed, { maxOutputLength: MAX_RESPONSE_BYTES }, (error, body) => {
      const isBomb = (error as NodeJS.ErrnoException | null)?.code === 'ERR_BUFFER_TOO_LARGE'
      if (isBomb) resolve({ body: new Uint8Array(), failure: tooLarge() })
      else resolve({ body: error ? new Uint8Array() : body })
    })
  })
}

async function compress(body: Uint8Array): Promise<Uint8Array> {
  const { gzip } = await loadZlib()
  return new Promise((resolve, reject) => {
    gzip(body, (error, compressed) => (error ? reject(error) : resolve(compressed)))
  })
}
