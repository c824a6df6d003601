/** One attempt at a batch: request headers, compression, transport, outcome. */
import { context } from '@opentelemetry/api'
import { createTransport } from '#transport'
import { warnOnce } from '../environment.ts'
import type { BlockingAnswer, BlockingPost } from '../spill.ts'
import { classify, redact, type Secrets, withoutSecrets } from '../transport/classify.ts'
import { createTransport as createFetchTransport } from '../transport/fetch.ts'
import { type Compressor, createCompressor } from '../transport/gzip.ts'
import {
  failure,
  type Transport,
  type TransportOptions,
  type TransportResponse,
  type TransportResult,
} from '../transport/transport.ts'
import {
  type Attempt,
  type ComponentDescription,
  type EncodedBatch,
  ExportError,
  type Outcome,
  type PipelineExporter,
  type SpanEncoder,
} from '../types.ts'
import { VERSION } from '../version.ts'
import { addHeaders, type OTLPConfiguration } from './options.ts'
import { readPartialSuccess } from './response.ts'

/**
 * In pages a batch takes half of what may outlive them at most: what is in flight when the page is left arrives, and
 * there is room beside it for what waits.
 */
const PAGE_BATCH_BYTES = 32 * 1024

/** Room for the headers of the first request: a function may make them. */
const UNKNOWN_HEADER_BYTES = 2048

/** Ours alone to say. */
const FRAMING_HEADERS = ['content-encoding', 'content-length', 'transfer-encoding']

const CONTENT_TYPES = { protobuf: 'application/x-protobuf', json: 'application/json' }

/** The side of the OTLP exporter that the pipeline talks to. */
export class OTLPSender implements PipelineExporter {
  readonly description: ComponentDescription
  readonly encoding: string
  readonly maxRequestBytes: number
  readonly timeoutMillis: number | undefined
  readonly attemptTimeoutMillis: number | undefined
  readonly createEncoder: () => SpanEncoder
  readonly #configuration: OTLPConfiguration
  readonly #transport: Transport
  readonly #compress: Compressor | undefined
  readonly defaultBatchBytes: number | undefined
  /** Of the last request, if there was one. */
  #lastHeaders: Readonly<Record<string, string>> | undefined
  #lastSecrets: Secrets | undefined
  #isShutDown = false

  /** Opens nothing; never throws. */
  constructor(
    configuration: OTLPConfiguration,
    transportOptions: TransportOptions,
    createEncoder: () => SpanEncoder,
  ) {
    this.#configuration = configuration
    const { hostname, port, protocol } = new URL(configuration.url)
    this.description = {
      type: configuration.encoding === 'json' ? 'otlp_http_json_span_exporter' : 'otlp_http_span_exporter',
      attributes: {
        'server.address': hostname,
        'server.port': Number(port) || (protocol === 'https:' ? 443 : 80),
      },
    }
    this.encoding = configuration.encoding
    this.maxRequestBytes = configuration.maxRequestBytes
    this.timeoutMillis = configuration.timeoutMillis
    this.attemptTimeoutMillis = configuration.attemptTimeoutMillis
    this.createEncoder = createEncoder
    this.#transport = (transportOptions.fetch ? createFetchTransport : createTransport)(transportOptions)
    if (this.#transport.keepaliveBytes) this.defaultBatchBytes = PAGE_BATCH_BYTES
    if (configuration.compression === 'gzip') this.#compress = createCompressor(this.#transport.compress)
  }

  /**
   * Makes one request and says what became of it; settles at once when the signal is aborted. Never throws, never
   * rejects. Where nothing has to be awaited first, the request has started when it returns.
   */
  async send(batch: EncodedBatch, attempt: Attempt): Promise<Outcome> {
    const { signal } = attempt
    const outcome = this.#withoutRequest(batch)
    if (outcome) return outcome
    const aborted = (): Outcome => this.#classify(failure('aborted', signal.reason), batch)
    if (signal.aborted) return aborted()
    return new Promise((resolve) => {
      const onAbort = (): void => resolve(aborted())
      signal.addEventListener('abort', onAbort)
      this.#attempt(batch, attempt)
        .catch((error) => this.#classify(failure('network', error), batch))
        .then((outcome) => {
          signal.removeEventListener('abort', onAbort)
          resolve(outcome)
        })
    })
  }

  /** The same by somebody who blocks. Impossible with an agent or `fetch` of the user's, or through a proxy. */
  sendSync(batch: EncodedBatch, post: BlockingPost, timeoutMillis: number): Outcome | undefined {
    const { url, headersFunction, secrets } = this.#configuration
    const direct = this.#transport.direct?.(url)
    // A function may have to wait for its headers: those of the last request will do.
    const known = headersFunction ? this.#lastHeaders : this.#headers()
    if (!direct || !known) return undefined
    const outcome = this.#withoutRequest(batch)
    if (outcome) return outcome
    const headers: Record<string, string> = { ...known, ...this.#ownHeaders() }
    for (const name of FRAMING_HEADERS) delete headers[name]
    const answer = post({ url, headers, body: batch.body, ...direct }, timeoutMillis)
    return this.#classify(resultOf(answer), batch, this.#lastSecrets ?? secrets)
  }

  keepaliveBytes(): number | undefined {
    const { url, headers } = this.#configuration
    const left = this.#transport.keepaliveBytes?.(url, this.#lastHeaders ?? headers)
    return left && left - (this.#lastHeaders ? 0 : UNKNOWN_HEADER_BYTES)
  }

  /** Makes every later `send` fail at once, and closes idle connections. Never rejects. */
  async shutdown(): Promise<void> {
    this.#isShutDown = true
    this.#transport.close()
  }

  /** Where a request would be no use. */
  #withoutRequest({ spanCount, body: { length } }: EncodedBatch): Outcome | undefined {
    if (this.#isShutDown) {
      return { kind: 'final', error: new ExportError('exporter_shutdown', 'the exporter has been shut down') }
    }
    if (!spanCount) return { kind: 'delivered', rejected: 0 }
    if (length <= this.maxRequestBytes) return undefined
    const message = `a request of ${length} bytes exceeds maxRequestBytes (${this.maxRequestBytes})`
    return { kind: 'too_large', error: new ExportError('too_large', message) }
  }

  /** What stands in every request, before the user's function has its say. */
  #headers(): Record<string, string> {
    const { userAgent } = this.#configuration
    const ownAgent = `tailrace/${VERSION} OTel-OTLP-Exporter-JavaScript/${VERSION}`
    const headers: Record<string, string> = Object.create(null)
    // A browser sends its own; one of ours would have to be allowed by the backend's CORS answer.
    if (!('document' in globalThis)) headers['user-agent'] = userAgent ? `${userAgent} ${ownAgent}` : ownAgent
    return Object.assign(headers, this.#configuration.headers)
  }

  #ownHeaders(): Record<string, string> {
    return { 'content-type': CONTENT_TYPES[this.#configuration.encoding] }
  }

  async #attempt(batch: EncodedBatch, { signal, mustOutlivePage }: Attempt): Promise<Outcome> {
    const { url, headersFunction, secrets: knownSecrets } = this.#configuration
    // The caller's context keeps instrumentations quiet, and a synchronous context manager loses it at an `await`.
    const callersContext = context.active()
    const headers = this.#headers()
    let secrets = knownSecrets
    if (headersFunction) {
      try {
        const fresh = new Set(knownSecrets)
        addHeaders(await headersFunction(), headers, fresh)
        secrets = fresh
      } catch (error) {
        const cause = withoutSecrets(error, secrets)
        const message = `no headers for ${this.#configuration.target}: ${cause?.message}`
        return { kind: 'retryable', error: new ExportError('headers_failed', message, { cause }) }
      }
    }
    for (const name of FRAMING_HEADERS) delete headers[name]
    Object.assign(headers, this.#ownHeaders())

    this.#lastHeaders = headers
    this.#lastSecrets = secrets
    // A page that is being left does not come back to what it awaits.
    const compressed = mustOutlivePage ? undefined : this.#compress && (await this.#compress(batch))
    if (compressed) headers['content-encoding'] = 'gzip'
    // Whoever aborted has had an answer by now: nothing must leave any more.
    if (signal.aborted) return this.#classify(failure('aborted', signal.reason), batch)
    const body = compressed ?? batch.body
    batch.readers = (batch.readers ?? 0) + 1
    const result = await context.with(callersContext, () =>
      this.#transport.post({ url, headers, body, signal, mustOutlivePage }),
    )
    if (result.kind === 'response' && result.isRequestWritten) batch.readers--
    return this.#classify(result, batch, secrets)
  }

  #classify(result: TransportResult, batch: EncodedBatch, secrets = this.#configuration.secrets): Outcome {
    return classify(result, this.#configuration.target, secrets, (response) =>
      this.#accept(response, batch, secrets),
    )
  }

  #accept(response: TransportResponse, { spanCount }: EncodedBatch, secrets: Secrets): Outcome {
    const { encoding, target } = this.#configuration
    const contentType = response.header('content-type') ?? CONTENT_TYPES[encoding]
    const { rejected, message: remark } = readPartialSuccess(response.body, contentType, spanCount)
    // A backend may quote what it was sent.
    const message = remark && redact(remark, secrets)
    if (message && !rejected) warnOnce(`${target} accepted all spans with a warning: ${message}`)
    return { kind: 'delivered', rejected, ...(message && { message }) }
  }
}

function resultOf(answer: BlockingAnswer): TransportResult {
  if (answer.kind === 'timeout') return failure('aborted', new ExportError('timeout', 'no answer in time'))
  if (answer.kind === 'failure') return failure('network', answer.error)
  const { status, headers, body } = answer
  return { kind: 'response', status, body, header: (name) => headers[name] }
}
