import { packAscii } from './ascii.ts'
import type { Id } from './ids.ts'
import { lengthOf, type UnixTime } from './values.ts'
import { PACKED_LENGTH_MAX, Writer } from './writer.ts'

const QUOTE = 0x22
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The characters that a JSON string cannot hold as they are. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPED = /["\\\u0000-\u001f]/g

/** A text of ASCII in words of four characters. */
function words(text: string): Int32Array {
  const packed = new DataView(new ArrayBuffer(text.length + 3))
  packAscii(packed, 0, text, text.length)
  return Int32Array.from({ length: Math.ceil(text.length / 4) }, (_, i) => packed.getInt32(i * 4, true))
}

const STRING_VALUE = /* @__PURE__ */ words('{"stringValue":"')
const STRING_END = /* @__PURE__ */ words('"}},')
const INT_VALUE = /* @__PURE__ */ words('{"intValue":"')
const TRUE = /* @__PURE__ */ words('{"boolValue":true}},')
const FALSE = /* @__PURE__ */ words('{"boolValue":false}},')

/** The digits of the numbers up to 99, as two characters each. */
const DIGITS = /* @__PURE__ */ Int16Array.from({ length: 100 }, (_, i) => 0x3030 | ((i % 10) << 8) | (i / 10))

/** Puts words, of which the last may not be full. */
function putWords(view: DataView, at: number, source: Int32Array): void {
  for (let i = 0; i < source.length; i++) view.setInt32(at + i * 4, source[i], true)
}

/**
 * Puts a string at `at`, four characters at a time. Answers whether it is ASCII and needs no escapes; if not, what has
 * been put is rubbish.
 */
function packPlain(view: DataView, at: number, text: string, length: number): boolean {
  const { charCodeAt } = ''
  let seen = 0
  // The high bit of a byte is set where the character is a control, a quote or a backslash.
  let escapes = 0
  let i = 0
  for (; i + 4 <= length; i += 4) {
    const a = charCodeAt.call(text, i)
    const b = charCodeAt.call(text, i + 1)
    const c = charCodeAt.call(text, i + 2)
    const d = charCodeAt.call(text, i + 3)
    seen |= a | b | c | d
    const word = a | (b << 8) | (c << 16) | (d << 24)
    escapes |= (word - 0x20202020) | ((word ^ 0x22222222) - 0x01010101) | ((word ^ 0x5c5c5c5c) - 0x01010101)
    view.setInt32(at + i, word, true)
  }
  for (; i < length; i++) {
    const a = charCodeAt.call(text, i)
    seen |= a
    escapes |= (a - 0x20) | ((a ^ 0x22) - 1) | ((a ^ 0x5c) - 1)
    view.setUint8(at + i, a)
  }
  return seen <= 0x7f && (escapes & 0x80808080) === 0
}

/** Writes what JSON is made of. */
export class JsonWriter extends Writer {
  /** Where the value of the attribute begins that was written last. */
  valueAt = 0
  /** Spans that end together mostly end in the same second. */
  #seconds = -1
  readonly #secondsText = new Writer(16)

  /** Writes a string with its quotes. */
  string(text: string): void {
    const length = lengthOf(text)
    this.reserve(length + 6)
    const { view, at } = this
    if (length <= PACKED_LENGTH_MAX && packPlain(view, at + 1, text, length)) {
      view.setUint8(at, QUOTE)
      view.setUint8(at + 1 + length, QUOTE)
      this.at = at + length + 2
    } else {
      this.#escapedString(text)
    }
  }

  /** Writes the value of an attribute, and the end of the attribute, if it is short and needs no escapes. */
  shortString(value: string): boolean {
    const length = lengthOf(value)
    this.reserve(PACKED_LENGTH_MAX + 24)
    const { view, at } = this
    if (length > PACKED_LENGTH_MAX || !packPlain(view, at + 16, value, length)) return false
    view.setInt32(at, STRING_VALUE[0], true)
    view.setInt32(at + 4, STRING_VALUE[1], true)
    view.setInt32(at + 8, STRING_VALUE[2], true)
    view.setInt32(at + 12, STRING_VALUE[3], true)
    view.setInt32(at + 16 + length, STRING_END[0], true)
    this.at = at + 20 + length
    return true
  }

  /** Writes the value of an attribute, and the end of the attribute, if it is a boolean or a small number that counts. */
  simpleValue(value: unknown): boolean {
    this.reserve(32)
    const { view, at } = this
    if (typeof value === 'boolean') {
      putWords(view, at, value ? TRUE : FALSE)
      this.at = at + (value ? 20 : 21)
      return true
    }
    if (typeof value !== 'number' || (value | 0) !== value || !(value > 0 || Object.is(value, 0)))
      return false
    putWords(view, at, INT_VALUE)
    this.at = at + 13
    this.uint32(value)
    view.setInt32(this.at, STRING_END[0], true)
    this.at += 4
    return true
  }

  /** Writes an id without quotes. */
  id({ characters }: Id): void {
    this.reserve(32)
    putWords(this.view, this.at, characters)
    this.at += characters.length * 4
  }

  #escapedString(text: string): void {
    const json = JSON.stringify(text)
    // JSON.stringify escapes lone surrogates, of which a reader would make lone surrogates again.
    if (json.includes('\\ud')) {
      this.byte(QUOTE)
      this.encoded(text.replace(ESCAPED, (character) => JSON.stringify(character).slice(1, -1)))
      this.byte(QUOTE)
    } else {
      this.encoded(json)
    }
  }

  /** Writes an unsigned integer of 32 bits as a JSON number. */
  uint32(value: number): void {
    this.reserve(12)
    let digits = 1
    for (let limit = 10; limit <= value; limit *= 10) digits++
    this.#digits(value, digits)
  }

  #digits(value: number, count: number): void {
    const { view, at } = this
    let rest = value
    let i = at + count - 2
    for (; i >= at; i -= 2) {
      const hundredth = (rest / 100) >>> 0
      view.setInt16(i, DIGITS[rest - hundredth * 100], true)
      rest = hundredth
    }
    if (i === at - 1) view.setUint8(at, 0x30 + rest)
    this.at = at + count
  }

  /** Writes a 64-bit integer as the string that OTLP has for it. */
  int64(value: bigint | number): void {
    this.byte(QUOTE)
    if (typeof value === 'number' && value >= 0 && value <= 0x7fffffff) this.uint32(value)
    else this.text(String(Number.isSafeInteger(value) ? value : BigInt(value)))
    this.byte(QUOTE)
  }

  /** Writes a point in time as the string of its nanoseconds. */
  time({ seconds, nanos }: UnixTime): void {
    const text = this.#secondsText
    if (seconds !== this.#seconds) {
      this.#seconds = seconds
      text.at = 0
      text.text(`"${seconds}`)
    }
    if (seconds === 0) {
      this.byte(QUOTE)
      this.uint32(nanos)
    } else {
      this.words(text.view, 0, text.at, false)
      this.reserve(10)
      this.#digits(nanos, 9)
    }
    this.byte(QUOTE)
  }

  /** Writes bytes in base64, in quotes. */
  base64(source: Uint8Array): void {
    const { length } = source
    this.reserve(Math.ceil(length / 3) * 4 + 2)
    const { bytes } = this
    let at = this.at
    bytes[at++] = QUOTE
    for (let i = 0; i < length; i += 3) {
      const word = (source[i] << 16) | ((source[i + 1] ?? 0) << 8) | (source[i + 2] ?? 0)
      bytes[at++] = BASE64.charCodeAt(word >> 18)
      bytes[at++] = BASE64.charCodeAt((word >> 12) & 63)
      bytes[at++] = i + 1 < length ? BASE64.charCodeAt((word >> 6) & 63) : 0x3d
      bytes[at++] = i + 2 < length ? BASE64.charCodeAt(word & 63) : 0x3d
    }
    bytes[at++] = QUOTE
    this.at = at
  }
}
