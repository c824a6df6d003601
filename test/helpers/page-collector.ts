/**
 * A web site and an OTLP collector, each with a port of its own, so that a page asks before it sends (CORS). The
 * collector counts what is in flight: from the first byte of a request until it is answered, which can be held up.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { decodeJson, decodeProtobuf, type OtlpSpan } from './otlp-schema.ts'

/** A POST as it came. */
interface PagePost {
  readonly contentType: string
  /** Body, request line and headers. */
  readonly bytes: number
  readonly spans: readonly OtlpSpan[]
}

/** The site and the collector. */
export interface PageCollector {
  /** A page that runs the program. */
  readonly site: string
  /** A page that runs nothing. */
  readonly elsewhere: string
  readonly url: string
  readonly posts: readonly PagePost[]
  /** The most bytes that were in flight together, and the most requests. */
  readonly mostBytes: number
  readonly mostRequests: number
  readonly spans: readonly OtlpSpan[]
  /** Requests that have begun to arrive: posts, and questions before them. */
  readonly arrived: number
  readonly asked: number
  /** From now on posts are answered with this. 0: the connection is cut. */
  answerWith(status: number): void
  /** From now on posts, or what a page asks before its first one, are answered only when `release` is called. */
  hold(method?: 'POST' | 'OPTIONS'): void
  release(): void
  whenPosts(count: number): Promise<void>
  close(): Promise<void>
}

/** @param script - What the page runs. */
export async function startPageCollector(script: string): Promise<PageCollector> {
  const posts: PagePost[] = []
  const waiting = new Set<() => void>()
  const held: (() => void)[] = []
  let holding: string | undefined
  let status = 200
  let arrived = 0
  let asked = 0
  let bytesInFlight = 0
  let requestsInFlight = 0
  let mostBytes = 0
  let mostRequests = 0

  const site = await listen((request, response) => {
    if (request.url === '/v1/traces') {
      collect(request, response)
      return
    }
    const isScript = request.url === '/program.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    if (isScript) response.end(script)
    else if (request.url?.startsWith('/page')) {
      response.end('<!doctype html><title>page</title><script type="module" src="/program.js"></script>')
    } else response.end('<!doctype html><title>elsewhere</title>')
  })
  const collector = await listen(collect)

  async function collect(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*')
    response.setHeader('access-control-max-age', '600')
    if (request.method === 'OPTIONS') {
      asked++
      if (holding === 'OPTIONS') await new Promise<void>((resolve) => held.push(resolve))
      response.end()
      return
    }
    arrived++
    const body = await buffer(request)
    const head = `POST ${request.url} HTTP/1.1\r\n${request.rawHeaders.join('::')}`
    const bytes = body.length + head.length + 2
    bytesInFlight += bytes
    requestsInFlight++
    mostBytes = Math.max(mostBytes, bytesInFlight)
    mostRequests = Math.max(mostRequests, requestsInFlight)
    if (holding === 'POST') await new Promise<void>((resolve) => held.push(resolve))
    bytesInFlight -= bytes
    requestsInFlight--
    const contentType = String(request.headers['content-type'])
    if (status === 200 && /json|protobuf/.test(contentType))
      posts.push({ contentType, bytes, spans: spansIn(body, contentType) })
    if (status === 0) request.socket.destroy()
    else {
      response.statusCode = status
      response.setHeader('content-type', contentType)
      response.end(contentType === 'application/json' ? '{}' : '')
    }
    for (const check of waiting) check()
  }

  return {
    site: `${site.origin}/page`,
    elsewhere: `${site.origin}/elsewhere`,
    url: `${collector.origin}/v1/traces`,
    posts,
    get mostBytes() {
      return mostBytes
    },
    get mostRequests() {
      return mostRequests
    },
    get spans() {
      return posts.flatMap(({ spans }) => spans)
    },
    get arrived() {
      return arrived
    },
    get asked() {
      return asked
    },
    answerWith(next) {
      status = next
    },
    hold(method = 'POST') {
      holding = method
    },
    release() {
      holding = undefined
      for (const resolve of held.splice(0)) resolve()
    },
    whenPosts: (count) =>
      new Promise((resolve) => {
        const check = () => {
          if (posts.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    async close() {
      for (const { server } of [site, collector]) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  }
}

async function listen(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ server: Server; origin: string }> {
  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function spansIn(body: Buffer, contentType: string): OtlpSpan[] {
  const { resourceSpans } = contentType === 'application/json' ? decodeJson(body) : decodeProtobuf(body)
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
}
