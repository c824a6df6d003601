import type { RecordRoom } from '../types.ts'
import { packAscii } from './ascii.ts'
import type { Piece } from './pieces.ts'
import { lengthOf } from './values.ts'

/** Strings up to this long are packed here; beyond it `encodeInto` is faster in spite of the cost of its call. */
export const PACKED_LENGTH_MAX = 56

/** What a record may take: no request may be larger. An array without end stops here. */
const BYTES_MAX = 2 ** 26

export const utf8 = /* @__PURE__ */ new TextEncoder()

const CAPACITY = 4096

/** Memory that a large span has made larger than this is not kept: a sink seldom has room for as much again. */
const KEPT_BYTES_MAX = 16 * 1024

/**
 * A growing buffer. `at` is where the next byte goes. Whatever may grow it replaces `bytes` and `view`: neither may be
 * kept in a variable across a call.
 */
export class Writer {
  bytes: Uint8Array
  view: DataView
  at = 0
  /** The writer's own memory, which it leaves for a sink's where there is room enough. */
  #own: Uint8Array
  #ownView: DataView

  constructor(capacity = CAPACITY) {
    this.bytes = this.#own = new Uint8Array(capacity)
    this.view = this.#ownView = new DataView(this.bytes.buffer)
  }

  /** Begins a record, in the room of its sink if there is enough. */
  begin(room: RecordRoom | undefined): void {
    if (room !== undefined && room.bytes.length - room.free >= this.#own.length) {
      this.bytes = room.bytes
      this.view = room.view
      this.at = room.free
    } else {
      this.at = 0
    }
  }

  /** Ends a record, whether it is whole or not: nothing of it is held any longer. */
  end(): void {
    if (this.#own.length > KEPT_BYTES_MAX) this.#resize(CAPACITY)
    this.bytes = this.#own
    this.view = this.#ownView
  }

  /** Goes on in the writer's own memory with what has been begun in a sink's room, which others may use from now on. */
  leave(): void {
    if (this.bytes !== this.#own) this.#grow(this.bytes.length)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.at + count > this.bytes.length) this.#grow(this.at + count)
  }

  #grow(needed: number): void {
    if (needed > BYTES_MAX) throw new RangeError(`A span of more than ${BYTES_MAX} bytes cannot be encoded`)
    const written = this.bytes.subarray(0, this.at)
    this.#resize(Math.max(needed, this.bytes.length * 2))
    this.#own.set(written)
    this.bytes = this.#own
    this.view = this.#ownView
  }

  #resize(capacity: number): void {
    this.#own = new Uint8Array(capacity)
    this.#ownView = new DataView(this.#own.buffer)
  }

  /** Writes one byte. */
  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  /** Writes bytes as they are. */
  raw(source: Uint8Array): void {
    this.reserve(source.length)
    this.bytes.set(source, this.at)
    this.at += source.length
  }

  /** Writes part of a piece, all of it by default. */
  piece(piece: Piece, from = 0, to = piece.length): void {
    this.words(piece.view, piece.start + from, to - from, piece.mayHoldNaN)
  }

  /**
   * Writes `length` bytes word by word; up to three bytes behind them are overwritten.
   * @param mayHoldNaN - Then words of four bytes, which are slower, have to do: see `mayHoldNaN`.
   */
  words(source: DataView, start: number, length: number, mayHoldNaN: boolean): void {
    this.reserve(length + 4)
    const { view, at } = this
    let i = 0
    if (!mayHoldNaN)
      for (; i + 8 <= length; i += 8) view.setFloat64(at + i, source.getFloat64(start + i, true), true)
    for (; i < length; i += 4) view.setInt32(at + i, source.getInt32(start + i, true), true)
    this.at = at + length
  }

  /** Writes a string in UTF-8; lone surrogates become U+FFFD. */
  text(text: string): void {
    const length = lengthOf(text)
    this.reserve(length + 4)
    if (length <= PACKED_LENGTH_MAX && packAscii(this.view, this.at, text, length)) this.at += length
    else this.encoded(text)
  }

  /** Writes a string of any kind and length. */
  encoded(text: string): void {
    let rest = text
    let length = lengthOf(text)
    this.reserve(length + 4)
    for (;;) {
      const { read, written } = utf8.encodeInto(rest, this.bytes.subarray(this.at))
      this.at += written
      if (read === length) return
      rest = rest.slice(read)
      length -= read
      this.reserve(length * 3)
    }
  }
}
