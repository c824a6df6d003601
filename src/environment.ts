/**
 * Environment variables, read alike on every runtime: Node, Deno (where reading may be forbidden), Workers and
 * browsers (where there may be no `process`). What cannot be used is warned about once and ignored, as the
 * specification asks: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { diag } from '@opentelemetry/api'

/** So that messages which somebody else words (a backend, a user) cannot fill the memory or the log. */
const MAX_WARNINGS = 256

const warned = new Set<string>()

/**
 * Warns through `diag`, once for each key in the life of the process. After 256 keys it stays silent. Never throws.
 * @param key - What makes the warning the same one.
 * @param message - What is logged. Must hold no secret.
 */
export function warnOnce(key: string, message: string = key): void {
  if (warned.has(key) || warned.size >= MAX_WARNINGS) return
  warned.add(key)
  try {
    diag.warn(`tailrace: ${message}`)
  } catch {
    // A logger that throws must not break what it reports on.
  }
}

/**
 * The value of an environment variable without blanks around it; empty means unset. Never throws.
 * @param name - The variable's name; nothing inherited from a prototype is found.
 */
export function environmentVariable(name: string): string | undefined {
  try {
    const { process } = globalThis as { process?: { env?: Record<string, unknown> } }
    const env = process?.env
    const value = env && Object.hasOwn(env, name) ? env[name] : undefined
    return typeof value === 'string' ? value.trim() || undefined : undefined
  } catch {
    return undefined // Deno without --allow-env
  }
}

function parsed<T>(name: string, parse: (value: string) => T | undefined, expected: string): T | undefined {
  const value = environmentVariable(name)
  if (value === undefined) return undefined
  const result = parse(value)
  if (result === undefined) {
    warnOnce(`${name}=${value}`, `${name}=${value.slice(0, 100)} is ignored: expected ${expected}`)
  }
  return result
}

/** The range of a number in the environment, both ends included. */
export interface NumberRange {
  readonly min: number
  readonly max: number
  /** Whether only whole numbers will do. Default false. */
  readonly integer?: boolean
}

/**
 * A number from the environment; `undefined` when it is unset, unparsable or out of range, with one warning in the
 * latter cases. Never throws.
 */
export function environmentNumber(name: string, { min, max, integer }: NumberRange): number | undefined {
  return parsed(
    name,
    (value) => {
      const number = Number(value)
      return number >= min && number <= max && (!integer || Number.isInteger(number)) ? number : undefined
    },
    `${integer ? 'an integer' : 'a number'} from ${min} to ${max}`,
  )
}

/** One of `values`, in any case; `undefined` when unset, or anything else, with one warning. Never throws. */
export function environmentEnum<const T extends string>(name: string, values: readonly T[]): T | undefined {
  return parsed(name, (value) => values.find((known) => known === value.toLowerCase()), values.join(' or '))
}

/** Whether this is Cloudflare Workers. `navigator.userAgent` says so, too, but not with an old compatibility date. */
export function isWorkers(): boolean {
  return 'WebSocketPair' in globalThis
}
