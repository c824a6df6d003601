/** Parts of a pipeline by themselves: how far down its cost could come. */
import { Agent, request } from 'node:http'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { spansOf } from '../corpus/spans.ts'
import { BATCH_SPANS, Encoding, ourSerializer } from './encoding.ts'

/** Encodes spans and makes bodies of them that nobody gets. */
export class OnlyEncoder {
  readonly #encoding = new Encoding('protobuf')
  readonly #deliver: (count: number) => void

  constructor(deliver: (count: number) => void) {
    this.#deliver = deliver
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    this.#encoding.encode(span)
    if (this.#encoding.count === BATCH_SPANS) this.#frame()
  }

  async forceFlush(): Promise<void> {
    if (this.#encoding.count > 0) this.#frame()
  }

  async shutdown(): Promise<void> {}

  #frame(): void {
    const { count } = this.#encoding
    if (this.#encoding.frame().length === 0) throw new Error('nothing encoded')
    this.#deliver(count)
  }
}

/** Posts bodies that were made beforehand, of as many spans as have ended: by `node:http`, one at a time. */
export class BareRequests {
  readonly #url: string
  readonly #deliver: (count: number) => void
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #serialize = ourSerializer('protobuf')
  readonly #spans = spansOf('realistic', BATCH_SPANS)
  /** By the number of spans in them. */
  readonly #bodies = new Map<number, Uint8Array>()
  #waiting = 0
  #sending: Promise<void> | undefined

  constructor(url: string, deliver: (count: number) => void) {
    this.#url = url
    this.#deliver = deliver
  }

  onStart(): void {}

  onEnd(): void {
    if (++this.#waiting >= BATCH_SPANS) this.#sending ??= this.#send(BATCH_SPANS)
  }

  async forceFlush(): Promise<void> {
    await this.#sending
    await this.#send(1)
  }

  async shutdown(): Promise<void> {
    this.#agent.destroy()
  }

  /** Sends until fewer spans than `least` wait. */
  async #send(least: number): Promise<void> {
    while (this.#waiting >= least) {
      const count = Math.min(this.#waiting, BATCH_SPANS)
      this.#waiting -= count
      await this.#post(this.#bodyOf(count))
      this.#deliver(count)
    }
    this.#sending = undefined
  }

  #bodyOf(count: number): Uint8Array {
    const body = this.#bodies.get(count) ?? this.#serialize(this.#spans.slice(0, count)).slice()
    this.#bodies.set(count, body)
    return body
  }

  #post(body: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/x-protobuf', 'content-length': body.length }
      request(this.#url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        response.resume().once('end', resolve)
      })
        .once('error', reject)
        .end(body)
    })
  }
}
