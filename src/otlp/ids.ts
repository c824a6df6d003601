/** Gathers, over the characters of an id, what tells that one is no hexadecimal digit: then it is not 0. */
let faults = 0

/** Reads four digits into 16 bits, of which the first byte is the lower. All four are worked on at once. */
function hexPair(text: string, at: number): number {
  const { charCodeAt } = ''
  const a = charCodeAt.call(text, at)
  const b = charCodeAt.call(text, at + 1)
  const c = charCodeAt.call(text, at + 2)
  const d = charCodeAt.call(text, at + 3)
  const word = a | (b << 8) | (c << 16) | (d << 24)
  // Letters are the digits with bit 6 set: "a" is 0x61, and 1 + 9 is 10.
  const digits = (word & 0x0f0f0f0f) + 9 * ((word >>> 6) & 0x01010101)
  const isLetter = ((digits + 0x06060606) >>> 4) & 0x01010101
  // The digits as characters again, against the characters in lower case.
  faults |= (digits + 0x30303030 + isLetter * 0x27) ^ (word | (isLetter << 5))
  faults |= (digits & 0xf0f0f0f0) | ((a | b | c | d) >> 7)
  const bytes = ((digits << 4) | (digits >>> 8)) & 0xff00ff
  return (bytes | (bytes >>> 8)) & 0xffff
}

/** A trace or span id, and the 32-bit words of its bytes. */
export class Id {
  text = ''
  /** False for what is no id: another length, not hexadecimal, all zero. */
  valid = false
  readonly words: Int32Array

  constructor(byteCount: number) {
    this.words = new Int32Array(byteCount / 4)
  }

  /** Takes another id. */
  read(text: string | undefined): void {
    const { words } = this
    this.text = text ?? ''
    this.valid = false
    if (typeof text !== 'string' || text.length !== words.length * 8) return
    faults = 0
    let any = 0
    for (let i = 0; i < words.length; i++)
      any |= words[i] = hexPair(text, i * 8) | (hexPair(text, i * 8 + 4) << 16)
    this.valid = faults === 0 && any !== 0
  }
}

/** Trace and parent ids come again and again: many spans share them. */
export class IdCache {
  readonly #entries: Id[]

  constructor(byteCount: number) {
    this.#entries = Array.from({ length: 16 }, () => new Id(byteCount))
  }

  /** Answers the id; what it answered before may be overwritten. */
  read(text: string | undefined): Id {
    const { charCodeAt } = ''
    const last = typeof text === 'string' ? charCodeAt.call(text, text.length - 1) : 0
    const id = this.#entries[(last ^ (last >> 3)) & 15]
    if (id.text !== text) id.read(text)
    return id
  }
}
