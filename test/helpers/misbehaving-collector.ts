/**
 * An OTLP/HTTP collector on loopback that misbehaves by script. It speaks over a bare socket, so that it can break
 * HTTP at any byte:
 *
 *     const collector = await startCollector()
 *     collector.script(answers(503), resetsAfterHeaders(), answers(200))   // then 200 for ever
 *
 * Every request takes the next line of the script; lines that act on a connection before any request take the next
 * connection. See misbehaviours.ts for what it can do.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { gunzipSync } from 'node:zlib'

/** A request as far as it was read. */
interface ReceivedRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** As it came over the wire. Empty for a behaviour that acts before the body. */
  rawBody: Buffer
  /** Decompressed. */
  readonly body: Buffer
  /** Which connection it came on, counted from 1. */
  readonly connection: number
}

/** When a behaviour acts: on a new connection, on a request's headers, or on a whole request. */
export type Stage = 'connection' | 'headers' | 'request'

/** One line of the script. */
export interface Behaviour {
  readonly stage: Stage
  act(socket: Socket, request: ReceivedRequest | undefined): void
}

/** The running collector. */
export interface Collector {
  /** `http://127.0.0.1:<port>/v1/traces`, or https. */
  readonly url: string
  readonly port: number
  /** All requests whose headers have come, in order. */
  readonly requests: readonly ReceivedRequest[]
  /** Connections accepted so far. */
  readonly connectionCount: number
  /** Connections that are open now. */
  readonly openConnections: number
  /** Appends lines to the script. */
  script(...behaviours: Behaviour[]): void
  /** What happens when the script is at its end. Default: 200 with an empty body. */
  otherwise(behaviour: Behaviour): void
  /** Settles when that many requests have come. */
  whenRequests(count: number): Promise<void>
  /** Settles when that many connections have been accepted. */
  whenConnections(count: number): Promise<void>
  /** Settles when the connection of that number has come and gone. */
  whenClosed(connection: number): Promise<void>
  /** Closes what is open and refuses connections from now on. */
  stop(): Promise<void>
  /** Listens on the same port again. */
  start(): Promise<void>
}

/** Starts a collector; end it with `stop`. */
export async function startCollector(options: { tls?: TlsOptions } = {}): Promise<Collector> {
  const requests: ReceivedRequest[] = []
  const script: Behaviour[] = []
  const sockets = new Map<number, Socket>()
  const waiting = new Set<() => void>()
  let connectionCount = 0
  let otherwise = answers(200)

  function changed(): void {
    for (const check of waiting) check()
  }

  function until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  }

  function accept(socket: Socket): void {
    const connection = ++connectionCount
    sockets.set(connection, socket)
    socket.on('error', () => {}) // Clients that vanish are what this is for.
    socket.on('close', () => {
      sockets.delete(connection)
      changed()
    })
    if (script[0]?.stage === 'connection') script.shift()!.act(socket, undefined)
    else readRequests(socket, connection)
    changed()
  }

  function readRequests(socket: Socket, connection: number): void {
    let head = Buffer.alloc(0)
    let body: Buffer[] = []
    let missing = 0
    let current: { request: ReceivedRequest; behaviour: Behaviour } | undefined

    socket.on('data', (chunk) => {
      if (current) {
        body.push(chunk)
        missing -= chunk.length
      } else {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        const request = parseHead(head.subarray(0, end).toString('latin1'), connection)
        const rest = head.subarray(end + 4)
        body = [rest]
        missing = Number(request.headers['content-length'] ?? 0) - rest.length
        head = Buffer.alloc(0)
        current = { request, behaviour: script.shift() ?? otherwise }
        requests.push(request)
        if (current.behaviour.stage === 'headers') current.behaviour.act(socket, request)
        changed()
      }
      const { request, behaviour } = current
      const isChunked = request.headers['transfer-encoding'] === 'chunked'
      if (!isChunked && missing > 0) return
      const whole = isChunked ? unchunked(Buffer.concat(body)) : Buffer.concat(body)
      if (whole === undefined) return
      current = undefined
      request.rawBody = whole
      if (behaviour.stage !== 'headers') behaviour.act(socket, request)
    })
  }

  const server: Server = options.tls ? createTlsServer(options.tls, accept) : createServer(accept)
  async function listen(port: number): Promise<void> {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  await listen(0)
  const { port } = server.address() as AddressInfo

  return {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}/v1/traces`,
    port,
    requests,
    get connectionCount() {
      return connectionCount
    },
    get openConnections() {
      return sockets.size
    },
    script: (...behaviours) => void script.push(...behaviours),
    otherwise(behaviour) {
      otherwise = behaviour
    },
    whenRequests: (count) => until(() => requests.length >= count),
    whenConnections: (count) => until(() => connectionCount >= count),
    whenClosed(connection) {
      // A socket that is not read from never notices its end.
      sockets.get(connection)?.resume()
      return until(() => connectionCount >= connection && !sockets.has(connection))
    },
    async stop() {
      for (const socket of sockets.values()) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
    start: () => listen(port),
  }
}

function parseHead(head: string, connection: number): ReceivedRequest {
  const [requestLine = '', ...lines] = head.split('\r\n')
  const [method = '', path = ''] = requestLine.split(' ')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  return {
    method,
    path,
    headers,
    rawBody: Buffer.alloc(0),
    get body() {
      return headers['content-encoding'] === 'gzip' ? gunzipSync(this.rawBody) : this.rawBody
    },
    connection,
  }
}

/** What a chunked body, as the stock exporter sends it, holds: `undefined` until its last chunk has come. */
function unchunked(body: Buffer): Buffer | undefined {
  const chunks: Buffer[] = []
  let at = 0
  for (;;) {
    const start = body.indexOf('\r\n', at) + 2
    if (start < 2) return undefined
    const length = Number.parseInt(body.toString('latin1', at, start), 16)
    at = start + length + 2
    if (at > body.length) return undefined
    if (length === 0) return Buffer.concat(chunks)
    chunks.push(body.subarray(start, start + length))
  }
}

/** Answers properly: with a status, headers and a body, and keeps the connection. */
export function answers(
  status: number,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Behaviour {
  return {
    stage: 'request',
    act(socket) {
      const bytes = Buffer.from(body as string)
      socket.write(responseHead(status, { 'content-length': String(bytes.length), ...headers }))
      socket.write(bytes)
    },
  }
}

/** Status line and headers of a response. */
export function responseHead(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} Whatever\r\n${lines.join('')}\r\n`
}
