/** What helpers check when they are called, and how they tell of what went wrong. */
import { diag } from '@opentelemetry/api'

/** The longest delay that timers take, in milliseconds. */
export const MAX_DELAY_MILLIS = 2_147_483_647

type ErrorType = TypeErrorConstructor | RangeErrorConstructor

/** Tells `diag`. Never throws. */
export function warn(message: string): void {
  try {
    diag.warn(`tailrace: ${message}`)
  } catch {
    // A logger that throws must not break what it reports on.
  }
}

/** An error that names the helper, the option and its value. */
export function wrong(
  helper: string,
  name: string,
  expected: string,
  value: unknown,
  Type: ErrorType = TypeError,
): Error {
  return new Type(`${helper}: ${name} must be ${expected}, not ${show(value)}`)
}

/** @throws TypeError unless the options are an object; warns about those that nobody knows. */
export function checkOptions(helper: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw wrong(helper, 'options', 'an object', options)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) warn(`${helper}: unknown option ${name} is ignored`)
  }
}

/** @throws TypeError unless it is a function. */
export function checkFunction(helper: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrong(helper, name, 'a function', value)
}

/** @throws TypeError unless it is a boolean. */
export function checkBoolean(helper: string, name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw wrong(helper, name, 'a boolean', value)
}

/**
 * Checks a time in milliseconds.
 * @throws TypeError | RangeError that names the option and its value.
 */
export function readMillis(
  helper: string,
  name: string,
  value: unknown,
  fallback: number,
  { least = 0, most = MAX_DELAY_MILLIS } = {},
): number {
  if (value === undefined) return fallback
  if (typeof value === 'number' && value >= least && value <= most) return value
  const Type = typeof value === 'number' ? RangeError : TypeError
  throw wrong(helper, name, `a number from ${least} to ${most}`, value, Type)
}

/** Whether it has these methods. Never throws. */
export function hasMethods(value: unknown, ...names: string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  try {
    return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  } catch {
    return false
  }
}

/** A short text for anything. Never throws. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  try {
    return String(value).slice(0, 100)
  } catch {
    return `an ${typeof value}`
  }
}

/** What went wrong, in words. Never throws. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : show(cause)
}
