/** What the helpers flush and shut down: processors of ours or anybody's, providers, SDKs. All within a deadline. */
import { diag } from '@opentelemetry/api'
import type { FlushOptions, FlushResult } from '../types.ts'
import { startTimer, type Timer } from './timer.ts'

/** Something that can be flushed: a processor or a tracer provider. */
export interface FlushTarget {
  forceFlush(): Promise<unknown>
}

/** Something that can be shut down: a processor, a tracer provider, or an SDK that has nothing but `shutdown`. */
export interface ShutdownTarget {
  forceFlush?(): Promise<unknown>
  shutdown(): Promise<unknown>
}

/** How it went: `timeout` if the deadline came first, `failure` if a span was lost or is still pending. */
export type FlushStatus = FlushResult['status']

/** As much of our own processor as is used: it keeps deadlines itself, and says how it went. */
interface OwnProcessor {
  flush(options: FlushOptions): Promise<FlushResult>
  shutdown(options: FlushOptions): Promise<void>
}

/** The longest delay that timers take, in milliseconds. */
export const MAX_DELAY_MILLIS = 2_147_483_647
/** What our own processor may take beyond its deadline for its books, in milliseconds. */
const GRACE_MILLIS = 50

/** Flushes, waiting no longer than that. Never throws, never rejects. */
export function flushWithin(target: FlushTarget, timeoutMillis: number): Promise<FlushStatus> {
  return isOwn(target)
    ? within(timeoutMillis + GRACE_MILLIS, () => target.flush({ timeoutMillis }))
    : within(timeoutMillis, () => target.forceFlush())
}

/**
 * Begins to send what has ended by now, if it is a processor of ours. With others nobody knows for how long their timers
 * would keep the process alive.
 */
export function startFlush(target: unknown): void {
  if (isOwn(target)) void within(0, () => target.flush({ timeoutMillis: 0 }))
}

/** Has a processor of ours let go of its connection, which would keep the process alive. */
export function giveUp(target: unknown): void {
  if (isOwn(target)) void within(0, () => target.shutdown({ timeoutMillis: 0 }))
}

/** Flushes, then shuts down, waiting no longer than that for both. Never throws, never rejects. */
export async function shutdownWithin(target: ShutdownTarget, timeoutMillis: number): Promise<FlushStatus> {
  const endsAt = performance.now() + timeoutMillis
  const { forceFlush } = target
  const flushed =
    forceFlush === undefined ? 'success' : await flushWithin(target as FlushTarget, timeoutMillis)
  const leftMillis = Math.max(0, endsAt - performance.now())
  const ended = isOwn(target)
    ? await within(leftMillis + GRACE_MILLIS, () => target.shutdown({ timeoutMillis: leftMillis }))
    : await within(leftMillis, () => target.shutdown())
  return worstOf([flushed, ended])
}

/** The worst of them; success if there are none. */
export function worstOf(statuses: readonly FlushStatus[]): FlushStatus {
  return (['timeout', 'failure'] as const).find((status) => statuses.includes(status)) ?? 'success'
}

/** Runs work that may throw, reject, or never end. */
export async function within(timeoutMillis: number, work: () => unknown): Promise<FlushStatus> {
  let timer: Timer | undefined
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = startTimer(() => resolve('timeout'), Math.min(timeoutMillis, MAX_DELAY_MILLIS), true)
  })
  try {
    return await Promise.race([Promise.resolve(work()).then(statusOf), timeout])
  } catch (cause) {
    warn(`a flush or shutdown failed: ${cause instanceof Error ? cause.message : show(cause)}`)
    return 'failure'
  } finally {
    timer?.cancel()
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

/** @throws TypeError | RangeError that names the option and its value. */
export function readMillis(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback
  const expected = `a number from 0 to ${MAX_DELAY_MILLIS}`
  if (typeof value !== 'number') throw wrong(name, value, expected)
  if (value >= 0 && value <= MAX_DELAY_MILLIS) return value
  throw wrong(name, value, expected, RangeError)
}

/** @throws TypeError unless the options are an object; warns about those that nobody knows. */
export function checkNames(helper: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw wrong(`${helper}: options`, options, 'an object')
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) warn(`${helper}: unknown option ${name} is ignored`)
  }
}

/** Whether it is an object with that method. */
export function hasMethod(value: unknown, name: string): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Record<string, unknown>)[name] === 'function'
  )
}

/** An error that names the option and its value. */
export function wrong(
  name: string,
  value: unknown,
  expected: string,
  ErrorType: TypeErrorConstructor | RangeErrorConstructor = TypeError,
): Error {
  return new ErrorType(`${name} must be ${expected}, not ${show(value)}`)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  try {
    return String(value).slice(0, 100)
  } catch {
    return `an ${typeof value}`
  }
}

function isOwn(target: unknown): target is OwnProcessor {
  return hasMethod(target, 'flush') && hasMethod(target, 'stats')
}

function statusOf(result: unknown): FlushStatus {
  const status = (result as Partial<FlushResult> | null | undefined)?.status
  return status === 'timeout' || status === 'failure' ? status : 'success'
}
