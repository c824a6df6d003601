import { packAscii } from './ascii.ts'
import { type Int64, isInt64, lengthOf } from './values.ts'
import { PACKED_LENGTH_MAX, Writer } from './writer.ts'

/** The bytes that the varint of a length takes. */
export function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5
}

/** Writes the varint of a length and returns its end. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let end = at
  let rest = value
  while (rest > 0x7f) {
    bytes[end++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[end++] = rest
  return end
}

/** Writes what Protocol Buffers are made of. Tags are given as the bytes that they are. */
export class ProtobufWriter extends Writer {
  /** Where the value of the attribute begins that was written last; 0 where it cannot be exchanged for another. */
  valueAt = 0

  /** Writes an unsigned integer of 32 bits. */
  varint(value: number): void {
    this.reserve(5)
    this.at = putVarint(this.bytes, this.at, value)
  }

  /** Writes a 64-bit integer. */
  varint64(value: Int64): void {
    this.reserve(10)
    const { bytes } = this
    let { at } = this
    let low = value.low >>> 0
    let high = value.high >>> 0
    while (high > 0 || low > 0x7f) {
      bytes[at++] = (low & 0x7f) | 0x80
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    bytes[at++] = low
    this.at = at
  }

  /** Begins a message, or anything of which the length is known only when it is written. */
  open(tag: number): number {
    this.reserve(2)
    this.bytes[this.at] = tag
    this.at += 2
    return this.at
  }

  /** Ends what begins at `start`: the length goes into the byte in front, and what it needs more moves the content. */
  close(start: number): void {
    const length = this.at - start
    if (length < 0x80) {
      this.bytes[start - 1] = length
      return
    }
    const extra = varintSize(length) - 1
    this.reserve(extra)
    this.bytes.copyWithin(start + extra, start, this.at)
    putVarint(this.bytes, start - 1, length)
    this.at += extra
  }

  /** The same as `open` for what will be of 128 to 16,383 bytes, as most spans are. */
  openLong(tag: number): number {
    this.reserve(3)
    this.bytes[this.at] = tag
    this.at += 3
    return this.at
  }

  /** Ends what `openLong` began, and answers where that begins, tag included. */
  closeLong(start: number): number {
    const length = this.at - start
    const size = varintSize(length)
    if (size !== 2) {
      this.reserve(size)
      this.bytes.copyWithin(start + size - 2, start, this.at)
      this.at += size - 2
    }
    putVarint(this.bytes, start - 2, length)
    return start - 3
  }

  /** Writes a string with its length. */
  string(tag: number, text: string): void {
    const length = lengthOf(text)
    this.reserve(length + 8)
    const { view, at } = this
    if (length <= PACKED_LENGTH_MAX && packAscii(view, at + 2, text, length)) {
      view.setUint8(at, tag)
      view.setUint8(at + 1, length)
      this.at = at + 2 + length
    } else {
      this.#longString(tag, text, length)
    }
  }

  /** The room for the length is guessed: ASCII, most likely, so that it is the number of characters. */
  #longString(tag: number, text: string, length: number): void {
    this.bytes[this.at++] = tag
    const from = this.at
    const start = from + varintSize(length)
    this.at = start
    this.encoded(text)
    const written = this.at - start
    const shift = from + varintSize(written) - start
    if (shift > 0) {
      this.reserve(shift)
      this.bytes.copyWithin(start + shift, start, this.at)
      this.at += shift
    }
    putVarint(this.bytes, from, written)
  }

  /** Writes a string as the `value` of a `KeyValue` if it is short and ASCII; else answers false. */
  shortString(value: string): boolean {
    const length = lengthOf(value)
    this.reserve(PACKED_LENGTH_MAX + 8)
    const { view, at } = this
    if (length > PACKED_LENGTH_MAX || !packAscii(view, at + 4, value, length)) return false
    view.setInt32(at, 0x0a0012 | ((length + 2) << 8) | (length << 24), true)
    this.at = at + 4 + length
    return true
  }

  /** Writes the `value` of a `KeyValue` if it is a number or a boolean; else answers false. */
  simpleValue(value: unknown): boolean {
    this.reserve(16)
    const { view, at } = this
    if (typeof value === 'number') {
      if ((value | 0) === value && (value > 0 || Object.is(value, 0))) {
        const end = putVarint(this.bytes, at + 3, value)
        view.setUint8(at, 0x12)
        view.setUint8(at + 1, end - at - 2)
        view.setUint8(at + 2, 0x18)
        this.at = end
        return true
      }
      if (isInt64(value)) return false
      view.setInt32(at, 0x210912, true)
      view.setFloat64(at + 3, value, true)
      this.at = at + 11
      return true
    }
    if (typeof value === 'boolean') {
      view.setInt32(at, value ? 0x01100212 : 0x00100212, true)
      this.at = at + 4
      return true
    }
    return false
  }
}
