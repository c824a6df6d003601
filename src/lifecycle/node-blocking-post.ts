/**
 * Requests that are made while the event loop of this thread stands still: by a thread of their own, which this one waits
 * for with `Atomics.wait`.
 *
 *     this thread                         helper thread
 *       ├─ postMessage(request) ───────────► request over node:http(s)
 *       │  Atomics.wait(signal)                   │
 *       │ ◄─ postMessage(answer), notify ─────────┘
 *       └─ receiveMessageOnPort
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { BlockingAnswer, BlockingPost, BlockingRequest } from '../spill.ts'
import { warn } from './checks.ts'

interface Task extends BlockingRequest {
  readonly id: number
  readonly timeoutMillis: number
}

interface Reply {
  readonly id: number
  readonly answer: BlockingAnswer
}

/** A response larger than this says nothing that matters. */
const MAX_RESPONSE_BYTES = 64 * 1024

let helper: Helper | undefined

/** Starts the thread, if it does not run: that takes longer than a request. Never throws. */
export function prepareBlockingPost(): void {
  try {
    helper ??= new Helper()
  } catch (error) {
    warn(`no thread for requests at the end of the process: ${(error as Error).message}`)
  }
}

/** One request, made by the thread. */
export const blockingPost: BlockingPost = (request, timeoutMillis) => {
  prepareBlockingPost()
  return (
    helper?.post(request, timeoutMillis) ?? { kind: 'failure', error: new Error('there is no helper thread') }
  )
}

class Helper {
  /** Set to 1 when an answer has come. */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4))
  readonly #port: MessagePort
  #count = 0

  constructor() {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    port1.unref()
    // From source text, since nobody knows where a bundler puts a file; `__name` is what esbuild's `keepNames` calls.
    const source = `const __name = (named) => named; (${serve})(require)`
    // Without the program's own preloads, which the thread has no use for.
    const worker = new Worker(source, {
      eval: true,
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: '' },
      workerData: { port: port2, signal: this.#signal, maxBytes: MAX_RESPONSE_BYTES },
      transferList: [port2],
    })
    worker.unref()
    // The next one who needs it tries again.
    const forget = () => {
      if (helper === this) helper = undefined
    }
    worker.once('error', forget)
    worker.once('exit', forget)
  }

  post(request: BlockingRequest, timeoutMillis: number): BlockingAnswer {
    const endsAt = performance.now() + timeoutMillis
    const id = ++this.#count
    Atomics.store(this.#signal, 0, 0)
    this.#port.postMessage({ ...request, id, timeoutMillis } satisfies Task)
    for (;;) {
      // What comes too late for one request is found by the next.
      const reply = receiveMessageOnPort(this.#port)?.message as Reply | undefined
      if (reply?.id === id) return reply.answer
      if (reply !== undefined) continue
      const leftMillis = endsAt - performance.now()
      if (leftMillis <= 0) return { kind: 'timeout' }
      Atomics.wait(this.#signal, 0, 0, leftMillis)
      Atomics.store(this.#signal, 0, 0)
    }
  }
}

/** The thread. Its text is all that it has: nothing around it is there. */
function serve(load: NodeJS.Require): void {
  const { workerData } = load('node:worker_threads') as typeof import('node:worker_threads')
  const http = load('node:http') as typeof import('node:http')
  const { port, signal, maxBytes } = workerData as {
    port: MessagePort
    signal: Int32Array
    maxBytes: number
  }
  port.on('message', ({ id, url, headers, body, tls, timeoutMillis }: Task) => {
    let isOver = false
    const settle = (answer: BlockingAnswer) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      port.postMessage({ id, answer } satisfies Reply)
      Atomics.store(signal, 0, 1)
      Atomics.notify(signal, 0)
    }
    const fail = ({ message, code }: NodeJS.ErrnoException) =>
      settle({ kind: 'failure', error: Object.assign(new Error(message), { code }) })
    const timer = setTimeout(() => request.destroy(), timeoutMillis)
    const client = url.startsWith('https:') ? (load('node:https') as typeof http) : http
    const options = { ...tls, method: 'POST', headers: { ...headers, 'content-length': body.length } }
    const request = client.request(url, options as import('node:https').RequestOptions, (response) => {
      const chunks: Uint8Array[] = []
      let bytes = 0
      response.on('data', (chunk: Uint8Array) => {
        bytes += chunk.length
        if (bytes <= maxBytes) chunks.push(chunk)
      })
      response.on('error', fail)
      response.on('end', () => {
        const texts = Object.entries(response.headers).map(([name, value]) => [name, String(value)])
        settle({
          kind: 'response',
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(texts),
          body: Buffer.concat(chunks),
        })
      })
    })
    request.on('error', fail)
    request.on('close', () => fail(new Error('connection closed without a response')))
    request.end(body)
  })
}
