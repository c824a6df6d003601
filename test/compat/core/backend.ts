/**
 * The backend of the core suite: one lane for each case, by its path, with a script of its own. It serves a page, too, so
 * that a browser may send to it without asking first.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { decodeJson, decodeProtobuf, type OtlpRequest, type OtlpSpan } from '../../helpers/otlp-schema.ts'

/** What a lane answers to a request: by what is in it, and how many came before. */
export type Answer = (
  spanCount: number,
  earlier: number,
) =>
  | {
      readonly status: number
      readonly body?: Uint8Array
      readonly delayMillis?: number
    }
  | 'never'

const TAKES: Answer = () => ({ status: 200 })

/** A request as it came. */
export interface Received {
  readonly contentType: string
  readonly contentEncoding: string | undefined
  readonly userAgent: string | undefined
  readonly request: OtlpRequest
  readonly spans: readonly OtlpSpan[]
  readonly status: number | undefined
}

/** What came to a case. */
export class Lane {
  readonly received: Received[] = []
  /** The most requests that were under way together. */
  mostInFlight = 0
  inFlight = 0

  /** The names of the spans that were taken, in order. */
  get names(): string[] {
    return this.received
      .filter(({ status }) => status === 200)
      .flatMap(({ spans }) => spans.map(({ name }) => name))
  }
}

/** The running backend. */
export class Backend {
  origin = ''
  readonly #lanes = new Map<string, Lane>()
  readonly #answers: ReadonlyMap<string, Answer>
  readonly #script: string
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error) => response.writeHead(500).end(String(error)))
  })

  /**
   * @param answers - By case; the others are taken.
   * @param script - What the page runs.
   */
  constructor(answers: ReadonlyMap<string, Answer>, script = '') {
    this.#answers = answers
    this.#script = script
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  lane(name: string): Lane {
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = new Lane()
      this.#lanes.set(name, lane)
    }
    return lane
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') {
      const isScript = request.url === '/program.js'
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      response.end(
        isScript
          ? this.#script
          : '<!doctype html><title>core</title><script type="module" src="/program.js"></script>',
      )
      return
    }
    const name = request.url!.split('/')[1]!
    const lane = this.lane(name)
    const earlier = lane.received.length + lane.inFlight
    lane.inFlight++
    lane.mostInFlight = Math.max(lane.mostInFlight, lane.inFlight)
    const { 'content-type': contentType = '', 'content-encoding': contentEncoding } = request.headers
    const raw = await buffer(request)
    const body = contentEncoding === 'gzip' ? gunzipSync(raw) : raw
    const decoded = contentType === 'application/json' ? decodeJson(body) : decodeProtobuf(body)
    const spans = decoded.resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap((scope) => scope.spans),
    )
    const answer = (this.#answers.get(name) ?? TAKES)(spans.length, earlier)
    const isAnswered = answer !== 'never'
    lane.received.push({
      contentType,
      contentEncoding,
      userAgent: request.headers['user-agent'],
      request: decoded,
      spans,
      status: isAnswered ? answer.status : undefined,
    })
    if (!isAnswered) return
    await sleep(answer.delayMillis ?? 0)
    lane.inFlight--
    response.writeHead(answer.status, { 'content-type': contentType }).end(answer.body)
  }
}
