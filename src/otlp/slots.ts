/** What a template remembers of one attribute. */
import type { Piece } from './pieces.ts'
import { interned, lengthOf } from './values.ts'

/** Longer strings are not remembered. */
export const STRING_LENGTH_MAX = 256

/** One attribute of a template. */
export interface Slot {
  readonly key: string
  /** What a string is compared with: fast where both sides are known to be one. */
  readonly text: string
  /** What anything else is compared with. */
  readonly scalar: number | boolean
  /** Whether strings are worth comparing; not where that has proved vain. */
  isText: boolean
  /** Where in the template the attribute begins, its value begins, and it ends. */
  readonly start: number
  readonly valueStart: number
  readonly end: number
  /** Attributes with other strings. */
  others: readonly Piece[]
  /** How often none of them fitted, less how often one did. */
  misses: number
  /** The hashes of the last four strings that were none of them, one a byte: who comes twice is remembered. */
  missed: number
}

/** Whether the string, or one much like it, was among the last that a slot did not know. Takes note of it. */
export function hasMissed(slot: Slot, text: string): boolean {
  const { charCodeAt } = ''
  const length = lengthOf(text)
  const hash =
    length === 0
      ? 1
      : (length + charCodeAt.call(text, length - 1) * 7 + charCodeAt.call(text, length >> 1) * 31) & 0xff
  const same = slot.missed ^ (hash * 0x01010101)
  slot.missed = (slot.missed << 8) | hash
  // Whether a byte is zero.
  return ((same - 0x01010101) & ~same & 0x80808080) !== 0
}

const NO_OTHERS: readonly Piece[] = []

/**
 * NaN equals nothing. Objects are not compared, since they may change; 0 is not, since it equals -0.
 * @param former - What stood in its place: the strings that it has seen are still worth knowing if the key is the same.
 */
export function slotOf(
  key: string,
  value: unknown,
  start: number,
  valueStart: number,
  end: number,
  former?: Slot,
): Slot {
  const isText = typeof value === 'string' && lengthOf(value) <= STRING_LENGTH_MAX
  return {
    key,
    text: isText ? interned(value) : '',
    scalar: (typeof value === 'number' || typeof value === 'boolean') && value !== 0 ? value : Number.NaN,
    isText,
    start,
    valueStart,
    end,
    others: former?.key === key ? former.others : NO_OTHERS,
    misses: 0,
    missed: 0,
  }
}
