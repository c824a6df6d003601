/** What a lifecycle helper flushes: a processor of ours, or a provider with processors of anybody's. */
import { context, diag, ROOT_CONTEXT, type TracerProvider } from '@opentelemetry/api'
import type { FlushOptions, FlushResult } from '../types.ts'
import { startTimer, type Timer } from './timer.ts'

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

/** What is flushed, and for how long: exactly one of `processor` and `provider`. */
export interface FlushTargetOptions {
  /** A `BatchSpanProcessor` of this package. */
  readonly processor?: FlushableProcessor | undefined
  /**
   * Any tracer provider of an SDK, flushed by its own `forceFlush` within our deadline; or `trace.getTracerProvider()`,
   * which stands for the one that is registered when it is flushed.
   */
  readonly provider?: FlushableProvider | TracerProvider | undefined
  /** How long a flush after the response may take, in milliseconds, from 0 to 25,000. Default 5000. */
  readonly timeoutMillis?: number | undefined
}

/** Something to flush. Never throws, never rejects. */
export interface FlushTarget {
  /** The deadline of a flush that nobody waits for, in milliseconds. */
  readonly timeoutMillis: number
  /** Sends what has ended by now. */
  flush(timeoutMillis: number): Promise<void>
  /** The same, and what ends soon: an instrumentation's span of the request ends after the handler. */
  drain(timeoutMillis: number): Promise<void>
}

/** Beyond this no promise of ours keeps a request open: platforms cut `waitUntil` off at 30 s. */
export const MAX_HOLD_MILLIS = 30_000
const MAX_TIMEOUT_MILLIS = 25_000
const DEFAULT_TIMEOUT_MILLIS = 5000
/** Spans of other requests are waited for no longer than this. */
const OPEN_SPANS_PATIENCE_MILLIS = 500
/** A provider does not tell which spans are open. */
const PROVIDER_PAUSE_MILLIS = 50
const QUIET_MILLIS = 60_000

/**
 * Checks the options and gives one way to flush both.
 * @param helper - For messages.
 * @throws TypeError | RangeError that names the option and its value.
 */
export function flushTarget(helper: string, options: FlushTargetOptions): FlushTarget {
  if (typeof options !== 'object' || options === null) throw wrong(helper, 'options', 'an object', options)
  const { processor, provider, timeoutMillis = DEFAULT_TIMEOUT_MILLIS } = options
  if (processor !== undefined && provider !== undefined) {
    throw new TypeError(`${helper}: processor and provider are both given, and one of them is enough`)
  }
  if (typeof timeoutMillis !== 'number' || !(timeoutMillis >= 0 && timeoutMillis <= MAX_TIMEOUT_MILLIS)) {
    const ErrorType = typeof timeoutMillis === 'number' ? RangeError : TypeError
    throw wrong(helper, 'timeoutMillis', `from 0 to ${MAX_TIMEOUT_MILLIS}`, timeoutMillis, ErrorType)
  }
  if (provider === undefined) {
    if (!hasMethods(processor, 'flush', 'forceFlush')) {
      throw wrong(helper, 'processor', "a BatchSpanProcessor of 'tailrace'", processor)
    }
    return processorTarget(processor as FlushableProcessor, timeoutMillis)
  }
  if (!hasMethods(provider, 'forceFlush', 'shutdown') && !hasMethods(provider, 'getDelegate')) {
    throw wrong(helper, 'provider', 'a tracer provider with forceFlush and shutdown', provider)
  }
  return providerTarget(() => delegateOf(provider), timeoutMillis)
}

function processorTarget(processor: FlushableProcessor, timeoutMillis: number): FlushTarget {
  const contain = containing('the processor')
  return {
    timeoutMillis,
    flush: (millis) => contain(() => processor.flush({ timeoutMillis: millis })),
    // Without an active span: the caller's own is among those that are waited for.
    drain: (millis) => contain(() => context.with(ROOT_CONTEXT, () => drain(processor, millis))),
  }
}

/** Waits for all open spans, but for those of other requests only a moment. What has ended is sent meanwhile. */
async function drain(processor: FlushableProcessor, timeoutMillis: number): Promise<void> {
  const patienceMillis = Math.min(OPEN_SPANS_PATIENCE_MILLIS, timeoutMillis / 2)
  const patience = new AbortController()
  const all = processor.flush({ openSpans: 'wait', timeoutMillis, signal: patience.signal })
  let timer: Timer | undefined
  const some = new Promise<FlushResult>((resolve, reject) => {
    const flush = () => processor.flush({ timeoutMillis: timeoutMillis - patienceMillis })
    timer = startTimer(() => void flush().then(resolve, reject), patienceMillis, false)
  })
  try {
    await Promise.race([all, some])
  } finally {
    timer?.cancel()
    patience.abort()
  }
}

/** Behind the API's own provider is the one that was registered, or one that has nothing to flush. */
function delegateOf(provider: unknown): Partial<FlushableProvider> {
  const proxy = provider as { getDelegate?(): Partial<FlushableProvider> }
  return proxy.getDelegate?.() ?? (provider as FlushableProvider)
}

function providerTarget(provider: () => Partial<FlushableProvider>, timeoutMillis: number): FlushTarget {
  const contain = containing('the provider')
  const flush = (millis: number) => contain(() => within(millis, async () => provider().forceFlush?.()))
  const pause = (millis: number) =>
    new Promise<void>((resolve) => {
      startTimer(resolve, millis, true)
    })
  return {
    timeoutMillis,
    flush,
    async drain(millis) {
      const pauseMillis = Math.min(PROVIDER_PAUSE_MILLIS, millis / 2)
      await contain(() => pause(pauseMillis))
      await flush(millis - pauseMillis)
    },
  }
}

/** @throws What the work throws, or an Error when its time is up. */
async function within(timeoutMillis: number, work: () => Promise<unknown>): Promise<void> {
  let timer: Timer | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    const onTimeout = () => reject(new Error(`it took longer than ${timeoutMillis} ms`))
    timer = startTimer(onTimeout, timeoutMillis, true)
  })
  try {
    await Promise.race([work(), timeout])
  } finally {
    timer?.cancel()
  }
}

/** Runs work whose failure must not reach the program, and tells of it at most once a minute. */
function containing(whose: string): (work: () => Promise<unknown>) => Promise<void> {
  let quietUntil = 0
  return async (work) => {
    try {
      await work()
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

/** Whether `value` is an object with these methods. */
export function hasMethods(value: unknown, ...names: string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
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

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  try {
    return String(value).slice(0, 100)
  } catch {
    return `an ${typeof value}`
  }
}
