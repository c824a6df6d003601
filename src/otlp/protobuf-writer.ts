import { type Int64 } from './values.ts'
import { Writer } from './writer.ts'

/** The longest string of which the length surely takes one byte, whatever its characters. */
const SHORT = 42

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

  /** Writes a string with its length. */
  string(tag: number, text: string): void {
    const { length } = text
    if (length <= SHORT) {
      const start = this.open(tag)
      this.text(text)
      this.bytes[start - 1] = this.at - start
      return
    }
    this.reserve(length + 8)
    this.bytes[this.at++] = tag
    // ASCII, most likely: then the length takes the place that the number of characters takes.
    const start = this.at + varintSize(length)
    const from = this.at
    this.at = start
    this.text(text)
    const written = this.at - start
    const shift = varintSize(written) - (start - from)
    if (shift > 0) {
      this.reserve(shift)
      this.bytes.copyWithin(start + shift, start, this.at)
      this.at += shift
    }
    putVarint(this.bytes, from, written)
  }
}
