/**
 * How deep values may nest. A map takes three levels of messages, and decoders (those of Java and C++ among them) refuse
 * a request with more than 100: one value too deep would cost its whole batch.
 */
const DEPTH_MAX = 30

const TWO_TO_THE_32 = 2 ** 32
const TWO_TO_THE_63 = 2 ** 63

/** Throws when a value nests too deep, which it also does when it contains itself. */
export function assertDepth(depth: number): void {
  if (depth >= DEPTH_MAX)
    throw new Error(`Attribute value nested deeper than ${DEPTH_MAX} levels, or within itself`)
}

/** Whether OTLP has the number as an integer: -0 would lose its sign, 2^63 does not fit. */
export function isInt64(value: number): boolean {
  return (
    Number.isInteger(value) &&
    value >= -TWO_TO_THE_63 &&
    value < TWO_TO_THE_63 &&
    (value !== 0 || !Object.is(value, -0))
  )
}

/**
 * Turns a value for which OTLP has no type into one that it has: maps to plain objects, sets and typed arrays to
 * arrays, dates to ISO 8601, big integers beyond int64 to strings. Whatever has no meaning outside the process
 * (symbols, functions) becomes the empty value, as null and undefined do.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : String(value)
  if (typeof value !== 'object' || value === null) return undefined
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? String(value) : value.toISOString()
  if (value instanceof Map) return Object.fromEntries(Array.from(value, ([key, item]) => [String(key), item]))
  if (value instanceof Set || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
    return Array.from(value as Iterable<unknown>)
  }
  return value
}

/** What a field of type string says; hand-made spans leave it out, or put something else there. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value)
}

/** What a field of type uint32 says; hand-made spans put anything there. */
export function uint32Of(value: number | undefined): number {
  return value !== undefined && value > 0 ? Math.min(Math.floor(value), TWO_TO_THE_32 - 1) : 0
}

/** The number of an enumeration, 0 for what cannot be one. */
export function enumOf(value: number | undefined): number {
  return value !== undefined && value > 0 && value < 2 ** 31 ? Math.floor(value) : 0
}

/** The kind of a span: OTLP keeps 0 for "unspecified". */
export function kindOf(kind: number | undefined): number {
  return kind === undefined || kind === null || !(kind >= 0) ? 0 : enumOf(kind + 1)
}

const HAS_IS_REMOTE = 0x100
const IS_REMOTE = 0x200

/**
 * The flags of a span or link: those of the trace, and where the context (of a span: its parent's) comes from.
 *
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */
export function spanFlagsOf(traceFlags: number, isRemote: boolean | undefined): number {
  return (traceFlags & 0xff) | HAS_IS_REMOTE | (isRemote === true ? IS_REMOTE : 0)
}

/**
 * Whether `key` is an attribute and not something that a prototype has been given. Spelt out, it costs nothing where
 * for-in has found the key: V8 then knows what it calls. `Object.hasOwn`, or the method kept in a constant, take longer
 * than everything else about finding an attribute.
 */
export function isOwn(object: object, key: string): boolean {
  // biome-ignore lint/suspicious/noPrototypeBuiltins: see above
  return Object.prototype.hasOwnProperty.call(object, key)
}

/**
 * The length of a string. Where V8 has met more than four of its kinds of strings, it looks `length` up each time; that
 * it is the length of a string, and so a single load, it only knows of what has been added to one.
 */
export function lengthOf(text: string): number {
  // biome-ignore lint/style/useTemplate: a template would be another operation
  return ('' + text).length
}

const table: Record<string, undefined> = /* @__PURE__ */ Object.create(null)

/** The same string without whatever longer string it may be a slice of, and fast to compare. */
export function interned(text: string): string {
  table[text] = undefined
  for (const key in table) {
    delete table[key]
    return key
  }
  return text
}

/** A 64-bit integer in two halves, which a double cannot hold and a BigInt would hold slowly. */
export class Int64 {
  low = 0
  high = 0

  /** Takes an integer within int64. */
  setNumber(value: number): void {
    this.low = value | 0
    this.high = Math.floor(value / TWO_TO_THE_32) | 0
  }

  /** Takes a big integer within int64. */
  setBigInt(value: bigint): void {
    this.low = Number(BigInt.asIntN(32, value))
    this.high = Number(BigInt.asIntN(32, value >> 32n))
  }
}

/**
 * A point in time as the seconds and nanoseconds that it is, whatever a hand-made span says: no number, a fraction, a
 * time before 1970, or after what 64 bits of nanoseconds can hold.
 */
export class UnixTime {
  seconds = 0
  nanos = 0
  /** The same in nanoseconds. */
  low = 0
  high = 0
  #baseSeconds = 0
  #baseLow = 0
  #baseHigh = 0

  set(givenSeconds: number, givenNanos: number): void {
    let seconds = givenSeconds
    let nanos = givenNanos
    if (!(seconds >= 0 && seconds < 18_446_744_073 && nanos >= 0 && nanos < 1e9)) {
      const whole = Math.trunc(nanos) || 0
      const carried = Math.floor(whole / 1e9)
      seconds = Math.trunc(seconds) + carried
      nanos = whole - carried * 1e9
      if (!(seconds >= 0 && seconds < 18_446_744_073)) seconds = nanos = 0
    }
    this.seconds = seconds = Math.floor(seconds)
    this.nanos = nanos = Math.floor(nanos)
    // Spans that end together mostly end in the same second.
    if (seconds !== this.#baseSeconds) {
      const lower = (seconds % 0x10000) * 1e9
      const upper = Math.floor(seconds / 0x10000) * 1e9
      const low = (lower % TWO_TO_THE_32) + (upper % 0x10000) * 0x10000
      this.#baseSeconds = seconds
      this.#baseLow = low % TWO_TO_THE_32
      this.#baseHigh =
        Math.floor(lower / TWO_TO_THE_32) + Math.floor(upper / 0x10000) + Math.floor(low / TWO_TO_THE_32)
    }
    const low = this.#baseLow + nanos
    this.low = low | 0
    this.high = (this.#baseHigh + (low >= TWO_TO_THE_32 ? 1 : 0)) | 0
  }
}
