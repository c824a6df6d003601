const HEX_DIGITS = /* @__PURE__ */ (() => {
  const digits = new Int8Array(128).fill(-1)
  for (let i = 0; i < 16; i++) {
    digits[i.toString(16).charCodeAt(0)] = i
    digits[i.toString(16).toUpperCase().charCodeAt(0)] = i
  }
  return digits
})()

/** Gathers, over the words of an id, what tells that a character is no hexadecimal digit: then it is negative. */
let faults = 0

/** Reads eight digits into a word of which the first byte is the lowest. */
function hexWord(text: string, at: number): number {
  const a = text.charCodeAt(at)
  const b = text.charCodeAt(at + 1)
  const c = text.charCodeAt(at + 2)
  const d = text.charCodeAt(at + 3)
  const e = text.charCodeAt(at + 4)
  const f = text.charCodeAt(at + 5)
  const g = text.charCodeAt(at + 6)
  const h = text.charCodeAt(at + 7)
  const a1 = HEX_DIGITS[a & 127]
  const b1 = HEX_DIGITS[b & 127]
  const c1 = HEX_DIGITS[c & 127]
  const d1 = HEX_DIGITS[d & 127]
  const e1 = HEX_DIGITS[e & 127]
  const f1 = HEX_DIGITS[f & 127]
  const g1 = HEX_DIGITS[g & 127]
  const h1 = HEX_DIGITS[h & 127]
  faults |= (127 - (a | b | c | d | e | f | g | h)) | a1 | b1 | c1 | d1 | e1 | f1 | g1 | h1
  return (a1 << 4) | b1 | (c1 << 12) | (d1 << 8) | (e1 << 20) | (f1 << 16) | (g1 << 28) | (h1 << 24)
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
    for (let i = 0; i < words.length; i++) any |= words[i] = hexWord(text, i * 8)
    this.valid = faults >= 0 && any !== 0
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
    const last = typeof text === 'string' ? text.charCodeAt(text.length - 1) : 0
    const id = this.#entries[(last ^ (last >> 3)) & 15]
    if (id.text !== text) id.read(text)
    return id
  }
}
