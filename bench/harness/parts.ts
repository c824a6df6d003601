/** What a pipeline consists of, by itself. */
import { Agent, type RequestOptions, request } from 'node:http'
import { urlToHttpOptions } from 'node:url'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { spansOf } from '../corpus/spans.ts'
import { BATCH_SPANS, BareEncoder, ByteCopier, ourSerializer } from './encoding.ts'

/** Encodes spans and makes bodies of them that nobody gets. */
export class EncodingAlone {
  readonly #encoder = new BareEncoder('protobuf')
  readonly #deliver: (count: number) => void

  constructor(deliver: (count: number) => void) {
    this.#deliver = deliver
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    this.#encoder.encode(span)
    if (this.#encoder.count === BATCH_SPANS) this.#frame()
  }

  async forceFlush(): Promise<void> {
    if (this.#encoder.count > 0) this.#frame()
  }

  async shutdown(): Promise<void> {}

  #frame(): void {
    const { count } = this.#encoder
    if (this.#encoder.frame().length === 0) throw new Error('nothing encoded')
    this.#deliver(count)
  }
}

/**
 * What no pipeline can do without: it looks at every attribute, copies as many bytes as the spans take encoded, and, where
 * there is a receiver, posts them by `node:http`, one request at a time. The bytes were made beforehand.
 */
export class Floor {
  readonly #options: RequestOptions | undefined
  readonly #deliver: (count: number) => void
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #copier = new ByteCopier()
  readonly #serialize = ourSerializer('protobuf')
  readonly #spans = spansOf('realistic', BATCH_SPANS)
  /** By the number of spans in them. */
  readonly #bodies = new Map<number, Uint8Array>()
  #waiting = 0
  #sending: Promise<void> | undefined

  constructor(url: string | undefined, deliver: (count: number) => void) {
    this.#options = url === undefined ? undefined : urlToHttpOptions(new URL(url))
    this.#deliver = deliver
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    this.#copier.look(span)
    if (++this.#waiting >= BATCH_SPANS) this.#sending ??= this.#send(BATCH_SPANS)
  }

  async forceFlush(): Promise<void> {
    await this.#sending
    if (this.#waiting === 0) return
    this.#sending = this.#send(1)
    await this.#sending
  }

  async shutdown(): Promise<void> {
    this.#agent.destroy()
  }

  /** Sends until fewer spans than `least` wait. */
  async #send(least: number): Promise<void> {
    while (this.#waiting >= least) {
      const count = Math.min(this.#waiting, BATCH_SPANS)
      this.#waiting -= count
      const body = this.#copier.copy(this.#bodyOf(count))
      await (this.#options && this.#post(this.#options, body))
      this.#deliver(count)
    }
    this.#sending = undefined
  }

  #bodyOf(count: number): Uint8Array {
    const body = this.#bodies.get(count) ?? this.#serialize(this.#spans.slice(0, count)).slice()
    this.#bodies.set(count, body)
    return body
  }

  #post(options: RequestOptions, body: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/x-protobuf', 'content-length': body.length }
      request({ ...options, method: 'POST', agent: this.#agent, headers }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`the receiver answered ${response.statusCode}`))
        response.resume().once('end', resolve).once('error', reject)
      })
        .once('error', reject)
        .end(body)
    })
  }
}
