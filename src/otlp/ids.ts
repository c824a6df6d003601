import { lengthOf } from './values.ts'

/** Gathers, over the characters of an id, what tells that one is no hexadecimal digit: then it is not 0. */
let faults = 0

/** Four characters as one word, the first of them lowest. */
function charactersAt(text: string, at: number): number {
  const { charCodeAt } = ''
  const a = charCodeAt.call(text, at)
  const b = charCodeAt.call(text, at + 1)
  const c = charCodeAt.call(text, at + 2)
  const d = charCodeAt.call(text, at + 3)
  faults |= (a | b | c | d) >> 7
  return a | (b << 8) | (c << 16) | (d << 24)
}

/** Makes four digits into 16 bits, of which the first byte is the lower. All four are worked on at once. */
function hexPair(word: number): number {
  // Letters are the digits with bit 6 set: "a" is 0x61, and 1 + 9 is 10.
  const digits = (word & 0x0f0f0f0f) + 9 * ((word >>> 6) & 0x01010101)
  const isLetter = ((digits + 0x06060606) >>> 4) & 0x01010101
  // The digits as characters again, against the characters in lower case.
  faults |= (digits + 0x30303030 + isLetter * 0x27) ^ (word | (isLetter << 5))
  faults |= digits & 0xf0f0f0f0
  const bytes = ((digits << 4) | (digits >>> 8)) & 0xff00ff
  return (bytes | (bytes >>> 8)) & 0xffff
}

/** A trace or span id, in words of four characters and in words of four bytes. */
export class Id {
  text = ''
  /** False for what is no id: another length, not hexadecimal, all zero. */
  valid = false
  /** In bytes: 8 or 16. */
  readonly size: number
  readonly characters: Int32Array
  readonly words: Int32Array

  constructor(size: number) {
    this.size = size
    this.characters = new Int32Array(size / 2)
    this.words = new Int32Array(size / 4)
  }

  /** Takes another id. */
  read(text: string | undefined): void {
    const { characters, words } = this
    this.text = text ?? ''
    this.valid = false
    if (typeof text !== 'string' || lengthOf(text) !== this.size * 2) return
    faults = 0
    let any = 0
    for (let i = 0; i < words.length; i++) {
      const first = charactersAt(text, i * 8)
      const second = charactersAt(text, i * 8 + 4)
      characters[i * 2] = first
      characters[i * 2 + 1] = second
      any |= words[i] = hexPair(first) | (hexPair(second) << 16)
    }
    this.valid = faults === 0 && any !== 0
  }
}

/** Trace and parent ids come again and again: many spans share them. */
export class IdCache {
  readonly #entries: Id[]
  #last: Id

  constructor(size: number) {
    this.#entries = Array.from({ length: 16 }, () => new Id(size))
    this.#last = this.#entries[0] as Id
  }

  /** Answers the id; what it answered before may be overwritten. */
  read(given: string | undefined): Id {
    // Comparing is fast where both are known to be strings.
    const text = typeof given === 'string' ? given : ''
    if (text === this.#last.text) return this.#last
    const { charCodeAt } = ''
    const last = charCodeAt.call(text, lengthOf(text) - 1)
    const id = this.#entries[(last ^ (last >> 3)) & 15] as Id
    if (id.text !== text) id.read(text)
    this.#last = id
    return id
  }
}
