/** An OTLP collector in memory, behind a `fetch`, that fails on command. */
import { type CollectedSpan, readSpans } from './spans.ts'

/** What the collector does with a request, after `delayMillis` if given. */
export type CollectorAnswer = { readonly delayMillis?: number } & (
  | { readonly kind: 'accept' }
  /** Answers with another status. `retryAfter`: seconds, or the header's text. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: number | string }
  /** Takes the request but for its last `rejectedSpans` spans, and says so. */
  | { readonly kind: 'partial_success'; readonly rejectedSpans: number; readonly errorMessage?: string }
  /** Never answers: until the sender aborts. */
  | { readonly kind: 'hang' }
  /** No connection; or, with `afterTaking`, a connection that breaks when the spans are taken. */
  | { readonly kind: 'network_error'; readonly afterTaking?: boolean }
)

/** A request as the collector received it. */
export interface CollectedRequest {
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** What was in it, whatever was answered. */
  readonly spans: readonly CollectedSpan[]
  readonly answer: CollectorAnswer
}

const ACCEPT: CollectorAnswer = { kind: 'accept' }

/**
 * A collector to test with. It reads protobuf and JSON, compressed or not, and answers as it was told.
 *
 * @example
 * ```ts
 * import { InMemoryCollector } from 'tailrace/testing'
 *
 * const collector = new InMemoryCollector()
 * const processor = new BatchSpanProcessor(new OTLPTraceExporter({ fetch: collector.fetch }))
 * collector.script({ kind: 'status', status: 503, retryAfter: 1 }) // the first request; the others are accepted
 * ```
 */
export class InMemoryCollector {
  readonly #script: CollectorAnswer[] = []
  readonly #waiting = new Set<() => void>()
  #otherwise = ACCEPT
  /** The requests that came, in order. */
  readonly requests: CollectedRequest[] = []
  /** The spans that were taken, in order; twice, if they were sent twice. */
  readonly spans: CollectedSpan[] = []

  /** Give this to `new OTLPTraceExporter({ fetch })`. Rejects as the global `fetch` does. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    request.signal.throwIfAborted()
    const headers = Object.fromEntries(request.headers)
    const answer = this.#script.shift() ?? this.#otherwise
    if (answer.kind === 'network_error' && !answer.afterTaking) {
      this.#note({ url: request.url, headers, spans: [], answer })
      await this.#delay(answer, request.signal)
      throw networkError('ECONNREFUSED')
    }
    let spans: CollectedSpan[]
    try {
      spans = readSpans(await readBody(request), headers['content-type'] ?? '')
    } catch (cause) {
      request.signal.throwIfAborted()
      this.#note({ url: request.url, headers, spans: [], answer: { kind: 'status', status: 400 } })
      return new Response(`this is no OTLP request: ${cause}`, { status: 400 })
    }
    const isTaken = answer.kind !== 'status' && answer.kind !== 'hang'
    const rejected = answer.kind === 'partial_success' ? answer.rejectedSpans : 0
    if (isTaken) this.spans.push(...spans.slice(0, Math.max(0, spans.length - rejected)))
    this.#note({ url: request.url, headers, spans, answer })
    await this.#delay(answer, request.signal)
    if (answer.kind === 'hang') await aborted(request.signal)
    if (answer.kind === 'network_error') throw networkError('ECONNRESET')
    return respond(answer)
  }

  /** What happens to the next requests, one each; with those that come after, what `otherwise` says. */
  script(...answers: CollectorAnswer[]): void {
    this.#script.push(...answers)
  }

  /** What happens when the script is at its end. Without an argument: requests are accepted, as they were at first. */
  otherwise(answer: CollectorAnswer = ACCEPT): void {
    this.#otherwise = answer
  }

  /** Settles when that many requests have come, at any time. */
  whenRequests(count: number): Promise<void> {
    return this.#until(() => this.requests.length >= count)
  }

  /** Settles when that many spans have been taken, at any time. */
  whenSpans(count: number): Promise<void> {
    return this.#until(() => this.spans.length >= count)
  }

  /** Forgets everything. */
  reset(): void {
    this.#script.length = this.requests.length = this.spans.length = 0
    this.#otherwise = ACCEPT
  }

  #until(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isSo()) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }

  #note(request: CollectedRequest): void {
    this.requests.push(request)
    for (const check of this.#waiting) check()
  }

  async #delay({ delayMillis = 0 }: CollectorAnswer, signal: AbortSignal): Promise<void> {
    if (delayMillis === 0) return
    let handle: unknown
    const over = new Promise<void>((resolve) => {
      handle = setTimeout(resolve, delayMillis)
    })
    try {
      await Promise.race([over, aborted(signal)])
    } finally {
      clearTimeout(handle as Parameters<typeof clearTimeout>[0])
    }
  }
}

function respond(answer: CollectorAnswer): Response {
  if (answer.kind === 'status') {
    const { status, retryAfter } = answer
    const isBodiless = status === 204 || status === 304
    return new Response(isBodiless ? null : 'failed on command', {
      status,
      headers: retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) },
    })
  }
  // JSON, to requests in protobuf as well: senders go by the content type.
  const partialSuccess =
    answer.kind === 'partial_success'
      ? { partialSuccess: { rejectedSpans: String(answer.rejectedSpans), errorMessage: answer.errorMessage } }
      : {}
  return Response.json(partialSuccess)
}

async function readBody(request: Request): Promise<Uint8Array> {
  const isCompressed = request.headers.get('content-encoding') === 'gzip'
  const body = isCompressed ? request.body?.pipeThrough(new DecompressionStream('gzip')) : request.body
  return new Uint8Array(await new Response(body ?? null).arrayBuffer())
}

/** As Node's `fetch` says it. */
function networkError(code: string): TypeError {
  return new TypeError('fetch failed', {
    cause: Object.assign(new Error(`failed on command: ${code}`), { code }),
  })
}

/** Rejects when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
