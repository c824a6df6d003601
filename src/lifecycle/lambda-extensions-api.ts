/**
 * Lambda's Extensions API, as much of it as an internal extension calls:
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
 *
 * Imports nothing but Node's own modules, so that the preload can be a single file in a layer.
 */
import { Agent, type IncomingHttpHeaders, type RequestOptions, request } from 'node:http'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'

/** Where `@opentelemetry/api` 1.x keeps its managers, and the SDK's mark for what shall not be traced. */
const API_GLOBAL = Symbol.for('opentelemetry.js.api.1')
const SUPPRESS_TRACING = Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING')

const API = '/2020-01-01/extension'
const REGISTRATION: Call = {
  path: `${API}/register`,
  headers: { 'Lambda-Extension-Name': 'tailrace', 'Content-Type': 'application/json' },
  body: JSON.stringify({ events: ['INVOKE'] }),
}

/** How long a registration may hold up the program where it cannot be awaited, in milliseconds. */
const REGISTRATION_MILLIS = 2000

/** A request that got no answer is made again this much later, in milliseconds. */
const RETRY_MILLIS = 100
const MAX_RETRIES = 50

/** What Lambda answered. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** What an extension is told of an invocation. */
export interface InvokeEvent {
  readonly eventType: string
  readonly requestId: string
  readonly deadlineMs: number
}

/** The request of an API call. */
interface Call {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Makes it a POST. */
  readonly body?: string
}

/** Registers for INVOKE. Rejects when there is no answer. */
export function register(): Promise<Reply> {
  return callApi(REGISTRATION)
}

/**
 * The same, where nothing can be awaited: the answer has come when this returns, or comes late. A second thread makes
 * the request, since this one has to stand still.
 * @param onReply - Gets `undefined` when there is no answer.
 */
export function registerNow(onReply: (reply: Reply | undefined) => void): void {
  const { port1: answers, port2: answersTo } = new MessageChannel()
  const hasAnswered = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(REGISTERING_THREAD, {
    eval: true,
    // Without the preloads of this process.
    execArgv: [],
    env: {},
    workerData: { hasAnswered, answersTo, options: requestOptions(REGISTRATION), body: REGISTRATION.body },
    transferList: [answersTo],
  })
  worker.on('error', () => {})
  worker.unref()
  Atomics.wait(hasAnswered, 0, 0, REGISTRATION_MILLIS)
  const take = (message: unknown) => {
    answers.close()
    onReply(message as Reply | undefined)
  }
  const answer: { message: unknown } | undefined = receiveMessageOnPort(answers)
  if (answer) take(answer.message)
  else answers.once('message', take).unref() // Lambda must not wait in vain for an extension that it knows.
}

/** In the CommonJS of a thread that is given its text. */
const REGISTERING_THREAD = `
const { hasAnswered, answersTo, options, body } = require('node:worker_threads').workerData
const answer = (reply) => {
  answersTo.postMessage(reply)
  Atomics.store(hasAnswered, 0, 1)
  Atomics.notify(hasAnswered, 0)
}
require('node:http')
  .request(options, async (response) => {
    let text = ''
    for await (const chunk of response) text += chunk
    answer({ status: response.statusCode, headers: response.headers, body: text })
  })
  .on('error', () => answer(undefined))
  .end(body)
`

/** The next invocation: Lambda may freeze the environment until then. Rejects when Lambda is not to be reached. */
export async function nextEvent(id: string): Promise<InvokeEvent> {
  const headers = { 'Lambda-Extension-Identifier': id }
  for (let retries = 0; ; retries++) {
    try {
      const { status, body } = await callApi({ path: `${API}/event/next`, headers })
      if (status !== 200) throw new Error(`Lambda answered ${status} instead of an event: ${body}`)
      return JSON.parse(body) as InvokeEvent
    } catch (cause) {
      // An extension that stops asking would make Lambda wait for it, invocation after invocation.
      if (retries === MAX_RETRIES) throw cause
      await new Promise((resolve) => setTimeout(resolve, RETRY_MILLIS).unref())
    }
  }
}

function requestOptions({ path, headers, body }: Call): RequestOptions {
  const [hostname, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? '').split(':')
  return { hostname, port, path, headers, method: body === undefined ? 'GET' : 'POST' }
}

let agent: Agent | undefined

/** Calls the Extensions API, unseen by instrumentations. */
function callApi(call: Call): Promise<Reply> {
  agent ??= new Agent({ keepAlive: true, maxSockets: 1 })
  const options = { ...requestOptions(call), agent }
  const send = () =>
    new Promise<Reply>((resolve, reject) => {
      const calling = request(options, async (response) => {
        try {
          let text = ''
          for await (const chunk of response) text += chunk
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
        } catch (cause) {
          reject(cause)
        }
      })
      // To wait for an event must not keep the event loop alive: a callback handler's response may wait for its end.
      if (call.body === undefined) calling.on('socket', (socket) => socket.unref())
      calling.on('error', reject).end(call.body)
    })
  return suppressTracing(send)
}

/** As much as is needed of OpenTelemetry's. */
interface ContextManager {
  active(): { setValue(key: symbol, value: unknown): unknown }
  with<Result>(context: unknown, work: () => Result): Result
}

/** What `@opentelemetry/api` does with the context manager that it keeps on `globalThis`. */
function suppressTracing<Result>(work: () => Result): Result {
  const api = (globalThis as { [API_GLOBAL]?: { context?: ContextManager } })[API_GLOBAL]
  const manager = api?.context
  return manager ? manager.with(manager.active().setValue(SUPPRESS_TRACING, true), work) : work()
}
