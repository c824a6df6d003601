/** What the processor is told by lifecycle helpers of runtimes where whatever a request makes ends with it. */

/**
 * Key of the OpenTelemetry context under which a helper keeps the request that is running, and of an option of `flush` by
 * which it says the same where nobody has registered a context manager.
 */
export const REQUEST_SCOPE: unique symbol = Symbol.for('tailrace.request')

/** A request that can outlast its response. */
export interface RequestScope {
  waitUntil(promise: Promise<unknown>): void
}

/**
 * Key of an option of `flush` by which a helper says that the request ends with the flush: what it still holds by then
 * is put back for others.
 */
export const ENDS_REQUEST: unique symbol = Symbol.for('tailrace.endsRequest')

/**
 * The method of a processor of ours by which the wrapper of a function's handler tells when an invocation begins, and
 * when its last flush has settled. What ends between two invocations is reported at the next flush.
 */
export const INVOCATION = Symbol.for('tailrace.invocation')

/** What a helper adds to the options of `flush`. */
export interface RequestOptions {
  readonly [ENDS_REQUEST]?: boolean
  readonly [REQUEST_SCOPE]?: RequestScope
}
