/** The transport over `fetch`: Workers, edge runtimes, browsers, Deno, Bun, and Node when a `fetch` is injected. */
import { keepaliveBytesLeft, reserveKeepalive } from './keepalive.ts'
import {
  concatenate,
  failure,
  MAX_RESPONSE_BYTES,
  type Transport,
  type TransportFailure,
  type TransportOptions,
  type TransportRequest,
  type TransportResult,
} from './transport.ts'

/**
 * Next.js makes a span of every `fetch` but its own. Without a context manager, as on its edge, nothing else would tell it
 * that this one is not to be traced, and each export would make the next one necessary. Others ignore it.
 */
const NOT_TO_BE_TRACED = { next: { internal: true } }

/** How undici and Bun name a connection that the server closed. */
const CLOSED_SOCKET = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/

/**
 * Makes the transport. Nothing is looked up or opened before the first request. Never throws.
 * @param options - Only `fetch` is of interest here. Default: the global one, as it is when a request is made.
 */
export function createTransport({ fetch: injected }: TransportOptions = {}): Transport {
  const isPage = 'document' in globalThis
  let answered = false
  /** Others may have used up what keepalive requests share; the browser's error does not say so. */
  let wasRefused = false

  async function post(request: TransportRequest): Promise<TransportResult> {
    const { url, headers, body, signal, mustOutlivePage } = request
    if (!isPage || (wasRefused && !mustOutlivePage)) return send(request, false)
    const release = reserveKeepalive(body.length, keepaliveBytesLeft(url, headers))
    if (!release) {
      if (mustOutlivePage) return failure('network', new RangeError('there is no room in 64 KiB'), true)
      return send(request, false)
    }
    // An injected `fetch` may never settle.
    signal.addEventListener('abort', release)
    const result = await send(request, true)
    signal.removeEventListener('abort', release)
    release()
    return result
  }

  async function send(
    { url, headers, body, signal }: TransportRequest,
    keepalive: boolean,
  ): Promise<TransportResult> {
    let response: Response
    try {
      // Called without a receiver: workerd and browsers throw "Illegal invocation" for any other than the global.
      const fetch = injected ?? globalThis.fetch
      response = await fetch(url, {
        method: 'POST',
        headers: headers as Record<string, string>,
        body: body as Uint8Array<ArrayBuffer>,
        redirect: 'manual',
        signal,
        ...NOT_TO_BE_TRACED,
        ...(keepalive && { keepalive }),
      })
    } catch (error) {
      if (signal.aborted) return failure('aborted', signal.reason)
      const isFirstRefusal = keepalive && !wasRefused
      wasRefused ||= keepalive
      return failure('network', error, isFirstRefusal || (answered && isClosedSocket(error)))
    }
    if (typeof response?.status !== 'number') {
      return failure('bad_response', new TypeError('fetch did not answer with a Response'))
    }
    answered = true
    wasRefused = false
    const read = await readBody(response, signal)
    return {
      kind: 'response',
      status: response.status,
      header: (name) => response.headers?.get(name) ?? undefined,
      ...read,
    }
  }

  return {
    post,
    compress: typeof CompressionStream === 'function' ? compress : undefined,
    ...(isPage && { keepaliveBytes: keepaliveBytesLeft }),
    close() {},
  }
}

function isClosedSocket(error: unknown): boolean {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } }
  return CLOSED_SOCKET.test(String(cause?.code ?? code))
}

function tooLarge(): TransportFailure {
  return failure('bad_response', new RangeError('response larger than 4 MiB'))
}

/**
 * Reads the body to its end, or cancels it: a body left alone keeps its connection. The runtime's own `fetch` ends
 * the body on abort; an injected one may not, hence the listener.
 */
async function readBody(
  response: Response,
  signal: AbortSignal,
): Promise<{ body: Uint8Array; failure?: TransportFailure }> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  let problem: TransportFailure | undefined
  let cancel = (): unknown => undefined
  try {
    const reader = response.body?.getReader?.()
    if (!reader) {
      // React Native and node-fetch have no web stream.
      const whole = await response.arrayBuffer?.()
      if (whole && whole.byteLength > MAX_RESPONSE_BYTES) problem = tooLarge()
      else if (whole) chunks.push(new Uint8Array(whole))
      bytes = chunks[0]?.length ?? 0
    } else {
      cancel = () => reader.cancel().catch(() => {})
      signal.addEventListener('abort', cancel)
      while (!signal.aborted) {
        const { done, value } = await reader.read()
        if (done) break
        bytes += value.length
        if (bytes > MAX_RESPONSE_BYTES) {
          bytes -= value.length
          problem = tooLarge()
          break
        }
        chunks.push(value)
      }
    }
  } catch (error) {
    problem = failure('network', error)
  }
  signal.removeEventListener('abort', cancel)
  if (signal.aborted) problem = failure('aborted', signal.reason)
  if (problem) cancel()
  const body = concatenate(chunks, bytes)
  return problem ? { body, failure: problem } : { body }
}

async function compress(body: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([body as Uint8Array<ArrayBuffer>]).stream()
  const compressed = new Response(stream.pipeThrough(new CompressionStream('gzip')))
  return new Uint8Array(await compressed.arrayBuffer())
}
