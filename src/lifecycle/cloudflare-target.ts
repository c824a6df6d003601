/** What is flushed when a request of a Worker ends: a processor of ours, or a provider with processors of anybody's. */
import { diag, type TracerProvider } from '@opentelemetry/api'
import type { FlushOptions, FlushResult } from '../types.ts'

/** As much of our `BatchSpanProcessor` as a helper calls. */
export interface FlushableProcessor {
  flush(options?: FlushOptions): Promise<FlushResult>
  forceFlush(options?: FlushOptions): Promise<void>
}

/** As much of an SDK's tracer provider as a helper calls. */
export interface FlushableProvider {
  forceFlush(): Promise<void>
  shutdown(): Promise<void>
}

/** What is flushed: exactly one of `processor` and `provider`. */
export interface CloudflareOptions {
  /** A `BatchSpanProcessor` of this package. */
  readonly processor?: FlushableProcessor | undefined
  /**
   * Any tracer provider of an SDK, flushed by its own `forceFlush` within our deadline; or `trace.getTracerProvider()`,
   * which stands for the one that is registered when it is flushed.
   */
  readonly provider?: FlushableProvider | TracerProvider | undefined
  /**
   * How long a flush after the response may take, in milliseconds, from 1 to 30,000. Default: what is left of the 30 s
   * that `waitUntil` gives, less a margin, which is also the most that any value gets.
   */
  readonly timeoutMillis?: number | undefined
}

/** Something to flush. */
export interface FlushTarget {
  readonly timeoutMillis: number
  /**
   * Sends what has ended by now. Never throws, never rejects.
   * @param isLast - The request ends with it.
   * @param request - The request that it is made for.
   */
  flush(timeoutMillis: number, isLast: boolean, request?: object): Promise<void>
}

/** Workers end a request so long after its response: https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil */
const WAIT_UNTIL_MILLIS = 30_000
/** What our own deadline leaves of that, for clocks that are not the runtime's. */
const MARGIN_MILLIS = 1500
/** How long a request is kept after its response, in milliseconds. */
export const BUDGET_MILLIS = WAIT_UNTIL_MILLIS - MARGIN_MILLIS

/** The same as in request.ts, from which helpers import nothing at run time. */
export const REQUEST_SCOPE = Symbol.for('tailrace.request')
const ENDS_REQUEST = Symbol.for('tailrace.endsRequest')

const QUIET_MILLIS = 60_000

/**
 * Checks the options and gives one way to flush both.
 * @param helper - For messages.
 * @throws TypeError | RangeError that names the option and its value.
 */
export function flushTarget(helper: string, options: CloudflareOptions): FlushTarget {
  if (typeof options !== 'object' || options === null) throw wrong(helper, 'options', 'an object', options)
  const { processor, provider, timeoutMillis = BUDGET_MILLIS } = options
  if (processor !== undefined && provider !== undefined) {
    throw new TypeError(`${helper}: processor and provider are both given, and one of them is enough`)
  }
  if (typeof timeoutMillis !== 'number' || !(timeoutMillis >= 1 && timeoutMillis <= WAIT_UNTIL_MILLIS)) {
    const ErrorType = typeof timeoutMillis === 'number' ? RangeError : TypeError
    throw wrong(helper, 'timeoutMillis', `from 1 to ${WAIT_UNTIL_MILLIS}`, timeoutMillis, ErrorType)
  }
  const target = targetOf(provider ?? processor)
  if (provider === undefined && !hasMethods(processor, 'flush')) {
    throw wrong(helper, 'processor', "a BatchSpanProcessor of 'tailrace'", processor)
  }
  if (target === undefined) {
    throw wrong(helper, 'provider', 'a tracer provider with forceFlush and shutdown', provider)
  }
  return { timeoutMillis, flush: target }
}

/** The way to flush whatever it is; `undefined` if there is none. */
export function targetOf(flushed: unknown): FlushTarget['flush'] | undefined {
  if (hasMethods(flushed, 'flush', 'forceFlush')) {
    const processor = flushed as FlushableProcessor
    return containing('the processor', async (timeoutMillis, isLast, request) => {
      const options = { timeoutMillis, [ENDS_REQUEST]: isLast, [REQUEST_SCOPE]: request }
      await processor.flush(options)
    })
  }
  if (!hasMethods(flushed, 'forceFlush', 'shutdown') && !hasMethods(flushed, 'getDelegate')) return undefined
  return containing('the provider', (timeoutMillis) =>
    within(timeoutMillis, async () => {
      // Behind the API's own provider is the one that was registered, or one that has nothing to flush.
      const proxy = flushed as { getDelegate?(): Partial<FlushableProvider> }
      await (proxy.getDelegate?.() ?? (flushed as FlushableProvider)).forceFlush?.()
    }),
  )
}

/** @throws What the work throws, or an Error when its time is up. */
async function within(timeoutMillis: number, work: () => Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    const onTimeout = () => reject(new Error(`it took longer than ${Math.round(timeoutMillis)} ms`))
    timer = setTimeout(onTimeout, timeoutMillis)
  })
  try {
    await Promise.race([work(), timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** A failure must not reach the program: it is told at most once a minute. */
function containing(whose: string, flush: FlushTarget['flush']): FlushTarget['flush'] {
  let quietUntil = 0
  return async (timeoutMillis, isLast, request) => {
    try {
      await flush(timeoutMillis, isLast, request)
    } catch (cause) {
      const now = performance.now()
      if (now < quietUntil) return
      quietUntil = now + QUIET_MILLIS
      warn(`a flush of ${whose} failed: ${cause instanceof Error ? cause.message : typeof cause}`)
    }
  }
}

/** Tells `diag`. Never throws. */
export function warn(message: string): void {
  try {
    diag.warn(`tailrace: ${message}`)
  } catch {
    // A logger that throws must not break what it reports on.
  }
}

/** Whether `value` has these methods. Never throws. */
export function hasMethods(value: unknown, ...names: string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  try {
    return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  } catch {
    return false
  }
}

/** An error that names the option and its value. */
export function wrong(
  helper: string,
  name: string,
  expected: string,
  value: unknown,
  ErrorType: TypeErrorConstructor | RangeErrorConstructor = TypeError,
): Error {
  return new ErrorType(`${helper}: ${name} must be ${expected}, not ${show(value)}`)
}

/** A short text for anything. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  try {
    return String(value).slice(0, 100)
  } catch {
    return `an ${typeof value}`
  }
}
