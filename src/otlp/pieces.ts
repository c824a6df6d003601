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

  /** Puts a copy of the bytes there. */
  constructor(view: DataView, start: number, bytes: Uint8Array, text: string) {
    this.view = view
    this.start = start
    this.end = start + bytes.length
    this.mayHoldNaN = mayHoldNaN(bytes)
    this.text = text
    new Uint8Array(view.buffer).set(bytes, start)
  }

  get length(): number {
    return this.end - this.start
  }

  /** Puts `source[from, to)` in the place of this piece, which nobody may need any more; undefined if it is too long. */
  overwritten(source: Uint8Array, from: number, to: number): Piece | undefined {
    return to - from > this.length
      ? undefined
      : new Piece(this.view, this.start, source.subarray(from, to), '')
  }
}

/** Memory that pieces share: a buffer for each of them would take ten times what is in it. */
export class Slab {
  #view = new DataView(new ArrayBuffer(0))
  #end = 0

  /** Keeps a copy of `source[from, to)`. */
  add(source: Uint8Array, from: number, to: number, text = ''): Piece {
    const length = to - from
    if (this.#end + length + MARGIN > this.#view.byteLength) {
      this.#view = new DataView(new ArrayBuffer(Math.max(SLAB_BYTES, length + MARGIN)))
      this.#end = 0
    }
    const start = this.#end
    this.#end += length
    return new Piece(this.#view, start, source.subarray(from, to), text)
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
