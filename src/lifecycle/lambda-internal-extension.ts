/**
 * An internal extension: a part of the runtime's own process that Lambda waits for, besides the runtime, before it
 * freezes the environment. Between an invocation's response and the moment when the extension asks for the next event,
 * the process runs on and can send its spans.
 *
 * Internal extensions may register for INVOKE only, and only while Lambda initialises the environment.
 */
import { isMainThread } from 'node:worker_threads'
import { type InvokeEvent, nextEvent, type Reply, register, registerNow } from './lambda-extensions-api.ts'

/** The extension of this process, whichever copy of this package registered it. */
const EXTENSION = Symbol.for('tailrace.lambda-extension')

/** Tells the processes that the runtime starts (they inherit its environment) that they are not the runtime. */
const REGISTERED_BY = 'TAILRACE_LAMBDA_EXTENSION_PID'

/** How long the wrapped handler may take to begin after the event, in milliseconds. Perhaps it is never called. */
const BEGIN_MILLIS = 250

/** Lambda kills the process 500 ms after SIGTERM; the runtime is said to get 300 of them. */
const SHUTDOWN_MILLIS = 300

/** What wrapped handlers know of the extension. */
export interface Extension {
  /** Settles with whether Lambda has accepted it. Never rejects. */
  readonly registered: Promise<boolean>
  readonly isRegistered: boolean
  /** Why there is none; `undefined` while there is one, or may be. */
  readonly failure: string | undefined
  /** From now on invocations are held, once a wrapped handler begins. */
  expectHolds(): void
  /** Keeps an invocation's environment open until the answer is called; `undefined` when that is not possible. */
  hold(requestId: string): (() => void) | undefined
  /** Called on SIGTERM, with the milliseconds that are left. */
  onShutdown(drain: (timeoutMillis: number) => Promise<unknown>): void
}

/** An invocation that the environment may be held open for, by one wrapped handler or several, one in the other. */
class Hold {
  /** Settles when a wrapped handler has begun. */
  readonly begun: Promise<void>
  /** Settles when all of them have let go. */
  readonly released: Promise<void>
  #begin: () => void = () => {}
  #release: () => void = () => {}
  #count = 0

  constructor() {
    this.begun = new Promise((resolve) => {
      this.#begin = resolve
    })
    this.released = new Promise((resolve) => {
      this.#release = resolve
    })
  }

  take(): () => void {
    this.#count++
    this.#begin()
    let isTaken = true
    return () => {
      if (isTaken && --this.#count === 0) this.#release()
      isTaken = false
    }
  }
}

class InternalExtension implements Extension {
  readonly registered: Promise<boolean>
  failure: string | undefined
  isRegistered = false
  #register: (isRegistered: boolean) => void = () => {}
  #isAlive = false
  #expectsHolds = false
  #passedRequestId: string | undefined
  readonly #holds = new Map<string, Hold>()
  readonly #drains: ((timeoutMillis: number) => Promise<unknown>)[] = []

  constructor() {
    this.registered = new Promise((resolve) => {
      this.#register = resolve
    })
  }

  /** Lambda has answered the registration, or nobody has. */
  settle(reply: Reply | undefined): void {
    const id = reply?.headers['lambda-extension-identifier']
    if (reply?.status !== 200 || typeof id !== 'string') {
      this.failure = reply ? `Lambda answered ${reply.status}: ${reply.body}` : 'Lambda did not answer'
      this.#register(false)
      return
    }
    this.isRegistered = this.#isAlive = true
    process.env[REGISTERED_BY] = String(process.pid)
    process.on('SIGTERM', this.#onSigterm)
    this.#register(true)
    this.#run(id).catch((cause: unknown) => {
      this.#isAlive = false
      this.failure = String(cause)
    })
  }

  expectHolds(): void {
    this.#expectsHolds = true
  }

  hold(requestId: string): (() => void) | undefined {
    if (!this.#isAlive || this.#passedRequestId === requestId) return undefined
    return this.#holdFor(requestId).take()
  }

  onShutdown(drain: (timeoutMillis: number) => Promise<unknown>): void {
    this.#drains.push(drain)
  }

  /** Asks for event after event, each time when the one before is done with. */
  async #run(id: string): Promise<never> {
    for (;;) {
      const event = await nextEvent(id)
      await this.#hold(event)
      this.#holds.clear()
    }
  }

  async #hold({ eventType, requestId, deadlineMs }: InvokeEvent): Promise<void> {
    if (eventType !== 'INVOKE') return
    if (this.#expectsHolds) {
      const { begun, released } = this.#holdFor(requestId)
      if (await within(BEGIN_MILLIS, begun)) {
        await within(deadlineMs - Date.now(), released)
        return
      }
    }
    this.#passedRequestId = requestId
  }

  /** The runtime and the extension learn of an invocation in either order. */
  #holdFor(requestId: string): Hold {
    let hold = this.#holds.get(requestId)
    if (hold === undefined) {
      hold = new Hold()
      this.#holds.set(requestId, hold)
    }
    return hold
  }

  /** The environment ends. Then the signal does what it would have done without us. */
  readonly #onSigterm = async (): Promise<void> => {
    await Promise.allSettled(this.#drains.map((drain) => drain(SHUTDOWN_MILLIS)))
    if (process.listenerCount('SIGTERM') > 1) return
    process.off('SIGTERM', this.#onSigterm)
    process.kill(process.pid, 'SIGTERM')
  }
}

/**
 * Registers the extension, unless it is registered or this is no Lambda runtime. To be awaited while Lambda initialises
 * the environment, before the runtime asks for its first event. Never rejects.
 */
export function registerExtension(): Promise<boolean> {
  const known = extension()
  if (known) return known.registered
  if (!isRuntime()) return Promise.resolve(false)
  const opened = openExtension()
  register().then(
    (reply) => opened.settle(reply),
    () => opened.settle(undefined),
  )
  return opened.registered
}

/**
 * The same, where nothing can be awaited (CommonJS): Lambda has answered when this returns. Never throws. It costs tens
 * of milliseconds of the cold start, for a second thread.
 */
export function registerExtensionNow(): void {
  if (extension() || !isRuntime()) return
  const opened = openExtension()
  try {
    registerNow((reply) => opened.settle(reply))
  } catch {
    opened.settle(undefined) // No thread to be had.
  }
}

/** The extension of this process, if one was registered or is about to be. */
export function extension(): Extension | undefined {
  return (globalThis as { [EXTENSION]?: Extension })[EXTENSION]
}

/** Whether this environment handles several invocations at once. Lambda never freezes such a one. */
export function isNeverFrozen(): boolean {
  return process.env.AWS_LAMBDA_MAX_CONCURRENCY !== undefined
}

/**
 * Keeps the environment open for an invocation, until the answer is called; `undefined` when that is not possible, so
 * that everything must be over before the response.
 */
export function holdEnvironment(requestId: string | undefined): (() => void) | undefined {
  if (isNeverFrozen()) return () => {}
  return requestId === undefined ? undefined : extension()?.hold(requestId)
}

/** Whether this process is the one that asks Lambda for invocations, as far as that can be told. */
function isRuntime(): boolean {
  const { AWS_LAMBDA_RUNTIME_API, _HANDLER, [REGISTERED_BY]: registeredBy } = process.env
  return (
    Boolean(AWS_LAMBDA_RUNTIME_API && _HANDLER) &&
    isMainThread &&
    !isNeverFrozen() &&
    registeredBy === undefined
  )
}

function openExtension(): InternalExtension {
  const opened = new InternalExtension()
  ;(globalThis as { [EXTENSION]?: Extension })[EXTENSION] = opened
  return opened
}

/** Whether the promise, which must not reject, settles in time. */
async function within(millis: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, millis)).unref()
  })
  const isInTime = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return isInTime
}
