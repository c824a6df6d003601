/** AWS Lambda: spans leave before the environment is frozen. */
import { checkBoolean, checkFunction, checkOptions, readMillis, warn, wrong } from './checks.ts'
import { CallbackAnswers, type LambdaCallback } from './lambda-callback.ts'
import { answerOnEmptyLoop } from './lambda-event-loop.ts'
import { installFlushPolicy, watch } from './lambda-flush-policy.ts'
import { extension, registerExtension, registerExtensionNow } from './lambda-internal-extension.ts'
import { type FlushSettings, Invocation, type LambdaContext } from './lambda-invocation.ts'
import { NO_ROOT_SPAN, startRootSpan } from './lambda-root-span.ts'
import { LambdaTarget } from './lambda-target.ts'
import { readTarget, type TargetOptions } from './target.ts'

export type { FlushableProcessor, FlushableProvider } from './target.ts'
export { registerExtension }

/** Any kind of handler: async, with a callback, or for response streaming. */
// biome-ignore lint/suspicious/noExplicitAny: a handler's event and context are its own
export type LambdaHandler = (...args: any[]) => unknown

/** What `wrapHandler` takes: a processor or a provider, and how long it may flush. */
export interface WrapHandlerOptions extends TargetOptions {
  /** How long all flushes at the end of an invocation may take together, in milliseconds. Default 2000. */
  readonly timeoutMillis?: number | undefined
  /**
   * What is left to the runtime at the end of the function's own timeout, in milliseconds: flushes end that much
   * before it. A handler that still runs at twice as much has what it has ended so far flushed. Default 200.
   */
  readonly marginMillis?: number | undefined
  /**
   * `'before-response'` flushes before the caller gets the response. `'after-response'` answers first and keeps the
   * environment open, by an internal extension, until the spans are out or the time is up: the caller does not wait for
   * the backend. Where there is no extension, it is as `'before-response'`. Default `'before-response'`.
   */
  readonly mode?: 'before-response' | 'after-response' | undefined
  /** Makes a root span around the handler. Leave it to an instrumentation, if there is one. Default false. */
  readonly rootSpan?: boolean | undefined
}

/** Marks a handler as one for response streaming; another property beside it has the high-water mark. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming')

/**
 * Wraps a Lambda handler so that the spans of each invocation are flushed before Lambda freezes the environment, within
 * min(`timeoutMillis`, remaining time − `marginMillis`). Result and error of the handler stay what they are, whatever
 * becomes of the flush; wrapping never makes an invocation fail.
 *
 * With `mode: 'after-response'`, it registers the internal extension, unless the preload `tailrace/lambda/extension` or
 * `registerExtension()` has done so: call it while Lambda initialises the environment, as handlers are.
 *
 * @throws TypeError | RangeError that names the option and its value.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
 * @example
 * ```ts
 * import { wrapHandler } from 'tailrace/lambda'
 *
 * export const handler = wrapHandler(async (event) => work(event), { processor, mode: 'after-response' })
 * ```
 */
export function wrapHandler<Handler extends LambdaHandler>(
  handler: Handler,
  options: WrapHandlerOptions,
): Handler {
  checkFunction('wrapHandler', 'handler', handler)
  const settings = readOptions(options)
  prepareExtension(settings.target, settings.isAfterResponse)
  installFlushPolicy()

  // No declared parameters: a runtime that has no callbacks refuses handlers with three of them.
  const wrapped = function (this: unknown, ...args: unknown[]): unknown {
    // The mark may have been set on the wrapped handler, after it was wrapped.
    const isStreaming = Boolean((wrapped as { [STREAMING]?: unknown })[STREAMING])
    const [event] = args
    const lambda = args[isStreaming ? 2 : 1] as LambdaContext | undefined
    const callback = isStreaming ? undefined : args[2]
    const invocation = begin(settings, lambda)
    const rootSpan = options.rootSpan ? startRootSpan(event, lambda) : NO_ROOT_SPAN
    const answers =
      typeof callback === 'function' ? new CallbackAnswers(invocation, rootSpan, lambda) : undefined

    async function pass(
      outcome: { readonly value: unknown } | { readonly error: unknown },
    ): Promise<unknown> {
      const failure = 'error' in outcome ? outcome : undefined
      rootSpan.end(failure)
      const flushed = invocation.settle()
      if (flushed) await flushed
      answers?.passThrough()
      // With its response gone, the runtime client of Node.js up to 22 waits like that before it asks for the next event.
      if (isStreaming) {
        invocation.whenFlushed(() =>
          answerOnEmptyLoop(
            () => invocation.isExporting,
            () => {},
          ),
        )
      }
      if ('error' in outcome) throw outcome.error
      return outcome.value
    }
    const passValue = (value: unknown) => pass({ value })
    const passError = (error: unknown) => pass({ error })
    const call = (...callArgs: unknown[]): unknown => rootSpan.run(() => handler.apply(this, callArgs))

    try {
      if (answers) args[2] = answers.wrap(callback as LambdaCallback)
      const needsCallback = handler.length > 2 && !isStreaming && callback === undefined
      const result = needsCallback ? promised((answer) => call(event, lambda, answer)) : call(...args)
      if (isThenable(result)) return Promise.resolve(result).then(passValue, passError)
      if (answers) answers.returned()
      else if (isStreaming) passValue(result)
      else return passValue(result)
      // A callback handler's result counts for nothing; a streaming handler's is refused by the runtime client.
      return result
    } catch (error) {
      return passError(error)
    }
  }
  return like(handler, wrapped)
}

function begin(settings: FlushSettings, lambda: LambdaContext | undefined): Invocation {
  const invocation = new Invocation(settings, lambda)
  watch(invocation)
  if (settings.isAfterResponse && !invocation.isHeld) warnOfFallback()
  return invocation
}

/** A callback handler's answer as a promise, where the runtime client no longer gives callbacks. */
function promised(call: (answer: LambdaCallback) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const result = call((error, value) => {
      if (error === undefined || error === null) resolve(value)
      else reject(error)
    })
    if (isThenable(result)) resolve(result)
  })
}

/** Name, streaming marks and whatever else the handler's function carries. */
function like<Handler extends LambdaHandler>(
  handler: Handler,
  wrapped: (...args: unknown[]) => unknown,
): Handler {
  Object.defineProperty(wrapped, 'name', { value: handler.name, configurable: true })
  return Object.assign(wrapped, handler) as unknown as Handler
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === 'function'
}

// ── The extension ───────────────────────────────────────────────────────────────────────────────────────────────

function prepareExtension(target: LambdaTarget, isAfterResponse: boolean): void {
  if (isAfterResponse) registerExtensionNow()
  const registered = extension()
  if (isAfterResponse) registered?.expectHolds()
  // Where there is an extension, Lambda says when the environment ends.
  registered?.onShutdown((timeoutMillis) => target.shutdown(timeoutMillis))
}

let hasWarned = false

function warnOfFallback(): void {
  if (hasWarned || process.env.AWS_LAMBDA_RUNTIME_API === undefined) return
  hasWarned = true
  const reason = extension()?.failure ?? 'no extension was registered in time, or it has not waited'
  warn(`lambda: flushing before the response, not after it: ${reason}`)
}

// ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────

const OPTIONS = ['processor', 'provider', 'timeoutMillis', 'marginMillis', 'mode', 'rootSpan']

function readOptions(options: WrapHandlerOptions): FlushSettings {
  checkOptions('wrapHandler', options, OPTIONS)
  const target = new LambdaTarget(readTarget('wrapHandler', options))
  const { mode = 'before-response', rootSpan = false } = options
  if (mode !== 'before-response' && mode !== 'after-response') {
    throw wrong('wrapHandler', 'mode', "'before-response' or 'after-response'", mode, RangeError)
  }
  checkBoolean('wrapHandler', 'rootSpan', rootSpan)
  return {
    target,
    timeoutMillis: readMillis('wrapHandler', 'timeoutMillis', options.timeoutMillis, 2000),
    marginMillis: readMillis('wrapHandler', 'marginMillis', options.marginMillis, 200),
    isAfterResponse: mode === 'after-response',
  }
}
