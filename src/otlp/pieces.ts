import { packAscii } from './ascii.ts'

/** How much memory is taken at once. */
const SLAB_BYTES = 8 * 1024

/** Room behind the last piece, so that its last word can be read. */
const MARGIN = 3

/** Bytes that are written again and again: `view[start, end)`. */
export class Piece {
  readonly view: DataView
  readonly start: number
  readonly end: number
  /** Whether eight bytes in it may be a double that is not a number: see `mayHoldNaN`. */
  readonly mayHoldNaN: boolean
  /** The string that they encode, for whoever wants to know. */
  readonly text: string

  constructor(view: DataView, start: number, end: number, mayHoldNaN: boolean, text: string) {
    this.view = view
    this.start = start
    this.end = end
    this.mayHoldNaN = mayHoldNaN
    this.text = text
  }

  get length(): number {
    return this.end - this.start
  }

  /** A view of part of it, all of it by default: made anew each time. */
  bytes(from = 0, to = this.length): Uint8Array {
    return new Uint8Array(this.view.buffer, this.start + from, to - from)
  }

  /** A copy of `source[from, to)` in the place of this piece, which nobody may need any more; undefined if it is longer. */
  overwritten(source: Uint8Array, from: number, to: number): Piece | undefined {
    const length = to - from
    if (length > this.length) return undefined
    const bytes = this.bytes(0, length)
    bytes.set(source.subarray(from, to))
    return new Piece(this.view, this.start, this.start + length, mayHoldNaN(bytes), '')
  }
}

/** Memory that pieces share: a buffer for each of them would take ten times what is in it. */
export class Slab {
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #end = 0

  /** Keeps a copy of `source[from, to)`. */
  add(source: Uint8Array, from: number, to: number, text = ''): Piece {
    const bytes = source.subarray(from, to)
    const start = this.#take(bytes.length)
    this.#bytes.set(bytes, start)
    return new Piece(this.#view, start, this.#end, mayHoldNaN(bytes), text)
  }

  /** Keeps a text of ASCII. For a few letters, at import, it takes a tenth of the time of an encoder and a copy. */
  ascii(text: string): Piece {
    const start = this.#take(text.length)
    packAscii(this.#view, start, text, text.length)
    return new Piece(this.#view, start, this.#end, false, text)
  }

  #take(length: number): number {
    if (this.#end + length + MARGIN > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(SLAB_BYTES, length + MARGIN))
      this.#view = new DataView(this.#bytes.buffer)
      this.#end = 0
    }
    const start = this.#end
    this.#end += length
    return start
  }
}

/**
 * Whether any eight bytes in a row are a double that is not a number. Engines may write all of them as one and the same
 * NaN; every other double they must write as they have read it. Text in UTF-8 holds none.
 */
export function mayHoldNaN(bytes: Uint8Array): boolean {
  // Eleven bits of the exponent are set, whatever the sign.
  return bytes.some((byte, i) => (byte & 0x7f) === 0x7f && bytes[i - 1] >= 0xf0)
}
