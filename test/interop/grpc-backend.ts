/**
 * A vendor's backend behind the collector, as far as the collector can tell: takes OTLP over gRPC, and keeps it, sits on
 * it, or says that it has had enough and when it will take more.
 */
import { once } from 'node:events'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import protobuf from 'protobufjs'
import { onTestFinished } from 'vitest'
import { decodeProtobuf, type OtlpRequest } from '../helpers/otlp-schema.ts'

/** How the backend treats the next requests. */
export type Mood =
  | 'accepting'
  /** Answers when it accepts again. */
  | 'sitting on them'
  /** RESOURCE_EXHAUSTED, with the time at which to come back where there is one. */
  | { readonly retryDelaySeconds: number | undefined }

const RESOURCE_EXHAUSTED = 8
const FRAME_HEADER_BYTES = 5
/** An empty response, not compressed. */
const EMPTY_MESSAGE = Buffer.alloc(FRAME_HEADER_BYTES)

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message RetryInfo { Duration retry_delay = 1; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
`)

/** The backend. It ends with the test. */
export class GrpcBackend {
  mood: Mood = 'accepting'
  /** What it has taken. */
  readonly requests: OtlpRequest[] = []
  readonly #server = createServer()
  #waiting: (() => void)[] = []

  static async start(): Promise<GrpcBackend> {
    const backend = new GrpcBackend()
    backend.#server.on('stream', (stream: ServerHttp2Stream) => void backend.#answer(stream))
    const sessions = new Set<{ destroy(): void }>()
    backend.#server.on('session', (session) => sessions.add(session))
    backend.#server.listen(0, '127.0.0.1')
    await once(backend.#server, 'listening')
    onTestFinished(() => {
      for (const session of sessions) session.destroy()
      backend.#server.close()
    })
    return backend
  }

  /** `host:port`. */
  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Takes everything from now on, and all that it sat on. */
  accept(): void {
    this.mood = 'accepting'
    for (const goOn of this.#waiting.splice(0)) goOn()
  }

  async #answer(stream: ServerHttp2Stream): Promise<void> {
    // The collector may break it off.
    stream.on('error', () => {})
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(stream, 'end')
    if (this.mood === 'sitting on them') await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (stream.destroyed) return
    if (typeof this.mood === 'object') {
      stream.respond({ ...grpcHeaders, ...tooMuch(this.mood.retryDelaySeconds) }, { endStream: true })
      return
    }
    this.requests.push(decodeProtobuf(Buffer.concat(chunks).subarray(FRAME_HEADER_BYTES)))
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.respond(grpcHeaders, { waitForTrailers: true })
    stream.end(EMPTY_MESSAGE)
  }
}

const grpcHeaders = { ':status': 200, 'content-type': 'application/grpc' }

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, with a google.rpc.Status. */
function tooMuch(retryDelaySeconds: number | undefined): Record<string, string> {
  const message = 'over quota'
  const retryInfo = { retryDelay: { seconds: retryDelaySeconds } }
  const details = {
    typeUrl: 'type.googleapis.com/google.rpc.RetryInfo',
    value: encode('RetryInfo', retryInfo),
  }
  const status = {
    code: RESOURCE_EXHAUSTED,
    message,
    details: retryDelaySeconds === undefined ? [] : [details],
  }
  return {
    'grpc-status': String(RESOURCE_EXHAUSTED),
    'grpc-message': message,
    'grpc-status-details-bin': Buffer.from(encode('Status', status)).toString('base64'),
  }
}

function encode(type: string, content: Record<string, unknown>): Uint8Array {
  const message = root.lookupType(type)
  return message.encode(message.fromObject(content)).finish()
}
