/** What carries one request to a collector and its response back. Knows no spans, no formats and no retries. */

/** One POST. */
export interface TransportRequest {
  /** Absolute, without credentials. */
  readonly url: string
  /** Names in lower case, values that are fit to be sent. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** When aborted the request is torn down: DNS, connection set-up and the response's body too. */
  readonly signal: AbortSignal
  /** The page is being hidden: without a place in what may outlive it the request is not made. */
  readonly mustOutlivePage?: boolean | undefined
}

/** Why there is no response, or not a whole one. */
export interface TransportFailure {
  readonly kind: 'failure'
  /**
   * `aborted`: the signal ended it. `bad_response`: larger than 4 MiB, or not a response at all. `network`: anything
   * else, from DNS to a connection that broke.
   */
  readonly reason: 'network' | 'aborted' | 'bad_response'
  readonly error: unknown
  /** The request died on a kept-alive connection before anything of a response came. */
  readonly staleSocket: boolean
}

/** What the server answered. */
export interface TransportResponse {
  readonly kind: 'response'
  /** 0 for a redirect that the runtime hides. */
  readonly status: number
  /** Decompressed, 4 MiB at most; as far as it came if `failure` is there. */
  readonly body: Uint8Array
  /** Why the body is incomplete. */
  readonly failure?: TransportFailure
  /** The request's body has been written to the end, and nobody will look at it again. */
  readonly isRequestWritten?: boolean
  /** @param name - In lower case. */
  header(name: string): string | undefined
}

/** How one POST ended. */
export type TransportResult = TransportResponse | TransportFailure

/** Carries requests. */
export interface Transport {
  /** Never throws, never rejects. Has called the runtime's own client when it returns, wherever that is possible. */
  post(request: TransportRequest): Promise<TransportResult>
  /** gzip off the event loop; absent where the runtime has none. May reject. */
  readonly compress?: ((body: Uint8Array) => Promise<Uint8Array>) | undefined
  /** In pages: how large the body of a request that outlives the page may be now, in bytes. */
  keepaliveBytes?(url: string, headers: TransportRequest['headers']): number
  /**
   * What a request needs that somebody else makes, who has neither this transport's agent nor its proxies; `undefined`
   * where it cannot do without.
   */
  direct?(url: string): { readonly tls: TlsOptions } | undefined
  /** Closes connections of its own once they are idle. */
  close(): void
}

/** The signature of the global `fetch`, as far as it is used. */
export type FetchFunction = (url: string, init: RequestInit) => Promise<Response>

/** An `Agent` of `node:http` or `node:https`, or of a library like `proxy-agent`. */
export interface HttpAgent {
  destroy(): void
}

/** PEM texts for TLS; each stands above its environment variable. */
export interface TlsOptions {
  /** Certificates of the authorities that are trusted instead of the usual ones. */
  readonly ca?: string | Uint8Array | undefined
  /** The client's certificate chain. */
  readonly cert?: string | Uint8Array | undefined
  /** The client's private key. */
  readonly key?: string | Uint8Array | undefined
}

/** What a transport may be given. */
export interface TransportOptions {
  /** Used instead of the global `fetch`. Only the fetch transport knows it. */
  readonly fetch?: FetchFunction | undefined
  /** Used as given and never destroyed; the function is called once, at the first request. Node only. */
  readonly agent?: HttpAgent | ((protocol: string) => HttpAgent | Promise<HttpAgent>) | undefined
  /** Node only. */
  readonly tls?: TlsOptions | undefined
}

/** A response larger than this, after decompression, is refused: it is a mistake or an attack. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024

/** States a failure. */
export function failure(
  reason: TransportFailure['reason'],
  error: unknown,
  staleSocket = false,
): TransportFailure {
  return { kind: 'failure', reason, error, staleSocket }
}

/** Puts the pieces of a body together. */
export function concatenate(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const body = new Uint8Array(bytes)
  let offset = 0
  for (const chunk of chunks) {
    body.set(chunk, offset)
    offset += chunk.length
  }
  return body
}
