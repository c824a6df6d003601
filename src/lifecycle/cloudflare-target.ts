/** What is flushed when a request of a Worker ends, and for how long. */
import type { FlushOptions } from '../types.ts'
import { checkOptions, readMillis } from './checks.ts'
import { readTarget, Target, type TargetOptions } from './target.ts'

/** What `wrapHandler` and `wrapDurableObject` take: exactly one of `processor` and `provider`, and how long a flush may take. */
export interface CloudflareOptions extends TargetOptions {
  /**
   * How long a flush after the response may take, in milliseconds, from 1 to 30,000. Default: what is left of the 30 s
   * that `waitUntil` gives, less a margin, which is also the most that any value gets.
   */
  readonly timeoutMillis?: number | undefined
}

/** Something to flush. */
export interface RequestTarget {
  readonly timeoutMillis: number
  /**
   * Sends what has ended by now. Never throws, never rejects.
   * @param isLast - The request ends with it.
   * @param request - The request that it is made for.
   */
  flush(timeoutMillis: number, isLast: boolean, request?: object): Promise<unknown>
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

/**
 * Checks the options of a helper.
 * @param helper - For messages.
 * @throws TypeError | RangeError that names the option and its value.
 */
export function requestTarget(helper: string, options: CloudflareOptions): RequestTarget {
  checkOptions(helper, options, ['processor', 'provider', 'timeoutMillis'])
  const target = new Target(readTarget(helper, options))
  const range = { least: 1, most: WAIT_UNTIL_MILLIS }
  const timeoutMillis = readMillis(helper, 'timeoutMillis', options.timeoutMillis, BUDGET_MILLIS, range)
  return {
    timeoutMillis,
    flush: (millis, isLast, request) => flushRequest(target, millis, isLast, request),
  }
}

/** Flushes in the name of a request. */
export function flushRequest(target: Target, millis: number, isLast: boolean, request?: object) {
  const options = { [ENDS_REQUEST]: isLast, [REQUEST_SCOPE]: request }
  return target.flush(millis, options as FlushOptions)
}
