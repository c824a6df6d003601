/**
 * Lambda on loopback: the Runtime API and the Extensions API for one execution environment, with a real runtime client
 * (aws-lambda-ric) in a process of its own.
 *
 * As Lambda does, it stops that process (SIGSTOP) the instant that the runtime and every extension have asked for the
 * next event, and lets it go on (SIGCONT) for the next invocation; it ends an invocation at the function's timeout,
 * refuses a registration after the initialisation, and one of an internal extension for SHUTDOWN.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** How to run a function. */
export interface FunctionConfiguration {
  /** The Node to run it with, and the runtime client's arguments for it. */
  readonly command: readonly string[]
  /** The folder of the function's code; `handler` is `file.export` in it. */
  readonly taskRoot: string
  readonly handler: string
  /** The function's own timeout, in milliseconds. Default 10,000. */
  readonly timeoutMillis?: number
  readonly env?: Readonly<Record<string, string>>
  /** How many invocations the environment may be given at once; with more than one it is never frozen. */
  readonly concurrency?: number
}

/** What came of an invocation. */
export interface Invoked {
  readonly requestId: string
  /** `timeout`: Lambda has ended it, and the environment with it. */
  readonly kind: 'response' | 'error' | 'timeout' | 'exit'
  readonly body: string
  /** The trailers of a streamed response. */
  readonly trailers: Readonly<Record<string, string | undefined>>
  /** From the event's dispatch to the last byte of the response, in milliseconds. */
  readonly responseMillis: number
  /** From the response until the next invocation could have begun, in milliseconds. */
  readonly acceptedMillis: number
  /** When the response had come, on the clock of `Date.now()` with fractions. */
  readonly respondedAt: number
}

interface Running {
  readonly requestId: string
  readonly dispatchedAt: number
  response?: { kind: 'response' | 'error'; body: string; trailers: Invoked['trailers']; at: number }
  resolve(invoked: Invoked): void
  timeout?: NodeJS.Timeout
}

interface RegisteredExtension {
  readonly name: string
  readonly id: string
  waiting?: ServerResponse | undefined
}

const RUNTIME = '/2018-06-01/runtime'
const EXTENSION = '/2020-01-01/extension'

/** Milliseconds since the epoch, with fractions: comparable between processes. */
function preciseNow(): number {
  return performance.timeOrigin + performance.now()
}

/** One execution environment. */
export class LambdaEnvironment {
  /** Everything that the process wrote, in order. */
  output = ''
  /** Registrations that were refused, with why. */
  readonly refusals: string[] = []
  readonly extensions: RegisteredExtension[] = []
  /** How often the process was stopped. */
  freezes = 0
  /** What the runtime reported instead of asking for its first event. */
  initError: string | undefined
  readonly #configuration: FunctionConfiguration
  readonly #server: Server
  #process: ChildProcess | undefined
  readonly #waitingRuntimes: ServerResponse[] = []
  readonly #running = new Map<string, Running>()
  #isInitialising = true
  #isFrozen = false
  #exit: Promise<unknown> | undefined
  readonly #watchers = new Set<() => void>()

  constructor(configuration: FunctionConfiguration) {
    this.#configuration = configuration
    this.#server = createServer((request, response) => void this.#serve(request, response))
    this.#server.keepAliveTimeout = this.#server.requestTimeout = this.#server.headersTimeout = 0
  }

  /** Starts the process and waits until its initialisation is over, one way or the other. */
  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const { command, taskRoot, handler, env, concurrency } = this.#configuration
    const [file = '', ...args] = command
    const child = spawn(file, args, {
      cwd: taskRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
        AWS_LAMBDA_FUNCTION_NAME: 'checkout',
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
        AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/checkout',
        AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
        AWS_REGION: 'eu-central-1',
        LAMBDA_TASK_ROOT: taskRoot,
        _HANDLER: handler,
        ...(concurrency !== undefined && {
          AWS_LAMBDA_MAX_CONCURRENCY: String(concurrency),
          AWS_LAMBDA_NODEJS_WORKER_COUNT: '1',
          AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1: 'true',
        }),
        ...env,
      },
    })
    this.#process = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
    this.#exit = once(child, 'exit').then(() => this.#exited())
    await this.#until(() => !this.#isInitialising || child.exitCode !== null || this.initError !== undefined)
    return this
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get hasExited(): boolean {
    return this.#process?.exitCode !== null || this.#process.signalCode !== null
  }

  /** The signal that ended the process, if one did. */
  get signal(): NodeJS.Signals | null {
    return this.#process?.signalCode ?? null
  }

  /** Whether the operating system says that the process is stopped. */
  get isStopped(): boolean {
    return / T /.test(readFileSync(`/proc/${this.pid}/stat`, 'utf8').replace(/^\d+ \(.*\)/, ' '))
  }

  /**
   * Hands an event to the runtime, thawing the environment, and settles when the next one could be handed over.
   * @param thawMillis - How much earlier than the event the thaw comes.
   */
  async invoke(event: unknown, { thawMillis = 0 }: { thawMillis?: number } = {}): Promise<Invoked> {
    const { timeoutMillis = 10_000, concurrency = 1 } = this.#configuration
    let runtime: ServerResponse | undefined
    await this.#until(() => {
      if (!this.hasExited && this.#isReady()) runtime = this.#waitingRuntimes.shift()
      return this.hasExited || runtime !== undefined
    })
    if (runtime === undefined) throw new Error(`The runtime has exited:\n${this.output}`)
    if (thawMillis > 0) {
      this.#thaw()
      await new Promise((resolve) => setTimeout(resolve, thawMillis))
    }
    const requestId = randomUUID()
    const deadlineMs = Date.now() + timeoutMillis
    const invoked = new Promise<Invoked>((resolve) => {
      const running: Running = { requestId, dispatchedAt: preciseNow(), resolve }
      this.#running.set(requestId, running)
      running.timeout = setTimeout(() => this.#timeOut(running), timeoutMillis)
    })
    this.#thaw()
    const arn = 'arn:aws:lambda:eu-central-1:123456789012:function:checkout'
    for (const extension of concurrency > 1 ? [] : this.extensions) {
      const invoke = { eventType: 'INVOKE', deadlineMs, requestId, invokedFunctionArn: arn }
      reply(extension.waiting, 200, JSON.stringify(invoke))
      extension.waiting = undefined
    }
    reply(runtime, 200, JSON.stringify(event), {
      'Lambda-Runtime-Aws-Request-Id': requestId,
      'Lambda-Runtime-Deadline-Ms': String(deadlineMs),
      'Lambda-Runtime-Invoked-Function-Arn': arn,
      'Lambda-Runtime-Trace-Id': 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1',
    })
    return invoked
  }

  /** Lambda gives the environment up: as long as internal extensions get, then SIGKILL. Settles when it is gone. */
  async shutDown(): Promise<void> {
    this.#thaw()
    if (this.extensions.length > 0) {
      this.#process?.kill('SIGTERM')
      await Promise.race([this.#exit, new Promise((resolve) => setTimeout(resolve, 500))])
    }
    await this.kill()
  }

  /** Ends the process and the API. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL')
    await this.#exit
    this.#server.closeAllConnections()
    this.#server.close()
  }

  // ── The API ─────────────────────────────────────────────────────────────────────────────────────────────────

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '' } = request
    if (method === 'GET' && url === `${RUNTIME}/invocation/next`) {
      this.#waitingRuntimes.push(response)
      this.#asked()
      return
    }
    if (method === 'GET' && url === `${EXTENSION}/event/next`) {
      this.#extensionAsks(request, response)
      return
    }
    const body = (await buffer(request)).toString()
    const [, requestId = '', outcome] =
      /^\/2018-06-01\/runtime\/invocation\/(.+)\/(response|error)$/.exec(url) ?? []
    const running = this.#running.get(requestId)
    if (running) {
      const kind = outcome === 'error' ? 'error' : 'response'
      running.response = { kind, body, trailers: request.trailers, at: preciseNow() }
      reply(response, 202, '{"status":"OK"}')
      if (this.#isConcurrent) this.#settle(running)
    } else if (url === `${EXTENSION}/register`) {
      this.#register(request, response, body)
    } else if (url === `${RUNTIME}/init/error`) {
      this.initError = body
      reply(response, 202, '{"status":"OK"}')
      this.#changed()
    } else {
      reply(response, 404, '{"errorType":"NotFound"}')
    }
  }

  #register(request: IncomingMessage, response: ServerResponse, body: string): void {
    const { events } = JSON.parse(body) as { events: string[] }
    const name = String(request.headers['lambda-extension-name'])
    let refusal: string | undefined
    if (!this.#isInitialising) refusal = 'Extension.RegistrationClosed'
    else if (this.#waitingRuntimes.length > 0) refusal = 'Extension.InvalidExtensionState'
    else if (events.includes('SHUTDOWN')) refusal = 'ShutdownEventNotSupportedForInternalExtension'
    else if (this.extensions.some((extension) => extension.name === name))
      refusal = 'Extension.AlreadyRegistered'
    if (refusal !== undefined) {
      this.refusals.push(refusal)
      reply(response, 403, JSON.stringify({ errorType: refusal, errorMessage: refusal }))
      return
    }
    const id = randomUUID()
    this.extensions.push({ name, id })
    reply(response, 200, '{"functionName":"checkout"}', { 'Lambda-Extension-Identifier': id })
  }

  #extensionAsks(request: IncomingMessage, response: ServerResponse): void {
    const id = request.headers['lambda-extension-identifier']
    const extension = this.extensions.find((registered) => registered.id === id)
    if (extension === undefined) {
      reply(response, 403, '{"errorType":"Extension.UnknownExtensionIdentifier"}')
      return
    }
    extension.waiting = response
    this.#asked()
  }

  // ── The lifecycle ───────────────────────────────────────────────────────────────────────────────────────────

  get #isConcurrent(): boolean {
    return (this.#configuration.concurrency ?? 1) > 1
  }

  #isReady(): boolean {
    return this.#isConcurrent || this.#running.size === 0
  }

  /** The runtime or an extension has asked for the next event. */
  #asked(): void {
    const extensionsWait = this.extensions.every(({ waiting }) => waiting !== undefined)
    if (this.#waitingRuntimes.length === 0 || !extensionsWait) return
    if (!this.#isConcurrent) this.#freeze()
    this.#isInitialising = false
    if (!this.#isConcurrent) for (const running of [...this.#running.values()]) this.#settle(running)
    this.#changed()
  }

  #settle(running: Running): void {
    clearTimeout(running.timeout)
    this.#running.delete(running.requestId)
    const { response, requestId, dispatchedAt } = running
    // A runtime that asks for the next event without having answered does not exist.
    if (response === undefined) throw new Error(`No response to ${requestId}`)
    const { kind, body, trailers, at } = response
    running.resolve({
      requestId,
      kind,
      body,
      trailers,
      responseMillis: at - dispatchedAt,
      acceptedMillis: preciseNow() - at,
      respondedAt: at,
    })
    this.#changed()
  }

  #timeOut(running: Running): void {
    this.#process?.kill('SIGKILL')
    this.#giveUp(running, 'timeout')
  }

  #exited(): void {
    for (const running of [...this.#running.values()]) this.#giveUp(running, 'exit')
    this.#changed()
  }

  #giveUp(running: Running, kind: 'timeout' | 'exit'): void {
    if (!this.#running.delete(running.requestId)) return
    clearTimeout(running.timeout)
    const { response, requestId, dispatchedAt } = running
    const at = response?.at ?? preciseNow()
    const body = response?.body ?? ''
    running.resolve({
      requestId,
      kind,
      body,
      trailers: {},
      responseMillis: at - dispatchedAt,
      acceptedMillis: Number.POSITIVE_INFINITY,
      respondedAt: at,
    })
  }

  #freeze(): void {
    if (this.#isFrozen) return
    this.#process?.kill('SIGSTOP')
    this.#isFrozen = true
    this.freezes++
  }

  #thaw(): void {
    this.#process?.kill('SIGCONT')
    this.#isFrozen = false
  }

  #changed(): void {
    for (const check of this.#watchers) check()
  }

  #until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return
        this.#watchers.delete(check)
        resolve()
      }
      this.#watchers.add(check)
      check()
    })
  }
}

function reply(
  response: ServerResponse | undefined,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  const length = String(Buffer.byteLength(body))
  response?.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': length, ...headers })
  response?.end(body)
}
