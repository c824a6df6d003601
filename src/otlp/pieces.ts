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
    const start = this.#end
    const end = start + to - from
    if (end + MARGIN > this.#memory.length) {
      this.#memory = new Uint8Array(Math.max(SLAB_BYTES, to - from + MARGIN))
      this.#view = new DataView(this.#memory.buffer)
      this.#end = 0
      return this.add(source, from, to)
    }
    this.#memory.set(source.subarray(from, to), start)
    this.#end = end
    return new Piece(this.#memory, this.#view, start, end)
  }
}
