import { type Int64, type UnixTime } from './values.ts'
import { Writer } from './writer.ts'

const PACKED_LENGTH_MAX = 56
const QUOTE = 0x22
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** A fixed piece of JSON, kept as the bytes that it is. */
export class Literal {
  readonly length: number
  /** Longer than the text, so that it can be copied in words. */
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor(text: string) {
    this.length = text.length
    this.bytes = new Uint8Array(text.length + 3)
    this.view = new DataView(this.bytes.buffer)
    for (let i = 0; i < text.length; i++) this.bytes[i] = text.charCodeAt(i)
  }
}

/** The characters that a JSON string cannot hold as they are. */
const ESCAPED = /["\\\u0000-\u001f]/g

/** Writes what JSON is made of. */
export class JsonWriter extends Writer {
  /** Writes a fixed piece. */
  literal(literal: Literal): void {
    this.copy(literal.bytes, literal.view, 0, literal.length)
  }

  /** Writes a string with its quotes. */
  string(text: string): void {
    if (text.length > PACKED_LENGTH_MAX || !this.#packedString(text)) this.#escapedString(text)
  }

  /** Writes a short string four characters at a time if they are ASCII and none needs an escape. */
  #packedString(text: string): boolean {
    const length = text.length
    this.reserve(length + 6)
    const { view } = this
    const at = this.at + 1
    let seen = 0
    // The high bit of a byte is set where the character is a control, a quote or a backslash.
    let escapes = 0
    let i = 0
    for (; i + 4 <= length; i += 4) {
      const a = text.charCodeAt(i)
      const b = text.charCodeAt(i + 1)
      const c = text.charCodeAt(i + 2)
      const d = text.charCodeAt(i + 3)
      seen |= a | b | c | d
      const word = a | (b << 8) | (c << 16) | (d << 24)
      const quotes = word ^ 0x22222222
      const backslashes = word ^ 0x5c5c5c5c
      escapes |= (word - 0x20202020) | (quotes - 0x01010101) | (backslashes - 0x01010101)
      view.setInt32(at + i, word, true)
    }
    for (; i < length; i++) {
      const a = text.charCodeAt(i)
      seen |= a
      escapes |= (a - 0x20) | ((a ^ 0x22) - 1) | ((a ^ 0x5c) - 1)
      view.setUint8(at + i, a)
    }
    if (seen > 0x7f || (escapes & 0x80808080) !== 0) return false
    view.setUint8(at - 1, QUOTE)
    view.setUint8(at + length, QUOTE)
    this.at = at + length + 1
    return true
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

  /** Writes a number as a JSON number. */
  number(value: number): void {
    this.text(String(value))
  }

  /** Writes a 64-bit integer as the string that OTLP has for it. */
  int64(value: bigint | number): void {
    this.byte(QUOTE)
    this.text(String(Number.isSafeInteger(value) ? value : BigInt(value)))
    this.byte(QUOTE)
  }

  /** Writes a point in time as the string of its nanoseconds. */
  time(time: UnixTime): void {
    this.byte(QUOTE)
    const { seconds, nanos } = time
    this.text(seconds > 0 ? `${seconds}${String(nanos).padStart(9, '0')}` : String(nanos))
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
