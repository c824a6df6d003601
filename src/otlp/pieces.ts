import { packAscii } from './ascii.ts'

/** How much memory is taken at once. */
const SLAB_BYTES = 8 * 1024

/** Room behind the last piece, so that its last word can be read. */
const MARGIN = 3

/** Bytes that are written again and again. */
export class Piece {
  readonly memory: Uint8Array
  readonly view: DataView
  readonly start: number
  readonly end: number
  #bytes: Uint8Array | undefined

  constructor(memory: Uint8Array, view: DataView, start: number, end: number) {
    this.memory = memory
    this.view = view
    this.start = start
    this.end = end
  }

  get length(): number {
    return this.end - this.start
  }

  get bytes(): Uint8Array {
    this.#bytes ??= this.memory.subarray(this.start, this.end)
    return this.#bytes
  }
}

/** Memory that pieces share: a buffer for each of them would take ten times what is in it. */
export class Slab {
  #memory = new Uint8Array(0)
  #view = new DataView(this.#memory.buffer)
  #end = 0

  /** Keeps a copy of `source[from, to)`. */
  add(source: Uint8Array, from: number, to: number): Piece {
    const piece = this.#take(to - from)
    piece.memory.set(source.subarray(from, to), piece.start)
    return piece
  }

  /** Keeps a text of ASCII. For a few letters, at import, it takes a tenth of the time of an encoder and a copy. */
  ascii(text: string): Piece {
    const { length } = text
    const piece = this.#take(length)
    packAscii(piece.view, piece.start, text, length)
    return piece
  }

  #take(length: number): Piece {
    if (this.#end + length + MARGIN > this.#memory.length) {
      this.#memory = new Uint8Array(Math.max(SLAB_BYTES, length + MARGIN))
      this.#view = new DataView(this.#memory.buffer)
      this.#end = 0
    }
    const start = this.#end
    this.#end += length
    return new Piece(this.#memory, this.#view, start, this.#end)
  }
}
