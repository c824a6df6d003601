/** Strings up to this long are packed here; beyond it `encodeInto` is faster in spite of the cost of its call. */
const PACKED_LENGTH_MAX = 56

/** Runs up to this long are copied word by word; beyond it `set` is faster in spite of the cost of its call. */
const WORD_COPY_MAX = 96

/** What a record may take in memory at most. A span without end (a hostile proxy) stops here. */
const BYTES_MAX = 2 ** 28

const utf8 = /* @__PURE__ */ new TextEncoder()

/**
 * A growing buffer. `at` is where the next byte goes. Whatever may grow it replaces `bytes` and `view`: neither may be
 * kept in a variable across a call.
 */
export class Writer {
  bytes: Uint8Array
  view: DataView
  at = 0

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.at + count > this.bytes.length) this.#grow(this.at + count)
  }

  #grow(needed: number): void {
    if (needed > BYTES_MAX) throw new RangeError(`A span of more than ${BYTES_MAX} bytes cannot be encoded`)
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
    this.view = new DataView(grown.buffer)
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

  /** Writes `source[start, end)`, which `sourceView` views. Up to three bytes behind the copy are overwritten. */
  copy(source: Uint8Array, sourceView: DataView, start: number, end: number): void {
    const length = end - start
    this.reserve(length + 4)
    const { view, at } = this
    if (length > WORD_COPY_MAX || ((length + 3) & ~3) > source.length - start) {
      this.bytes.set(source.subarray(start, end), at)
    } else {
      for (let i = 0; i < length; i += 4) view.setInt32(at + i, sourceView.getInt32(start + i, true), true)
    }
    this.at = at + length
  }

  /** Writes a string in UTF-8; lone surrogates become U+FFFD. */
  text(text: string): void {
    if (text.length > PACKED_LENGTH_MAX || !this.packed(text)) this.encoded(text)
  }

  /** Writes a short string four characters at a time if it is ASCII, else leaves `at` where it is. */
  packed(text: string): boolean {
    const length = text.length
    this.reserve(length + 4)
    const { view, at } = this
    let seen = 0
    let i = 0
    for (; i + 4 <= length; i += 4) {
      const a = text.charCodeAt(i)
      const b = text.charCodeAt(i + 1)
      const c = text.charCodeAt(i + 2)
      const d = text.charCodeAt(i + 3)
      seen |= a | b | c | d
      view.setInt32(at + i, a | (b << 8) | (c << 16) | (d << 24), true)
    }
    for (; i < length; i++) {
      const a = text.charCodeAt(i)
      seen |= a
      view.setUint8(at + i, a)
    }
    if (seen > 0x7f) return false
    this.at = at + length
    return true
  }

  /** Writes a string of any kind and length. */
  encoded(text: string): void {
    let rest = text
    this.reserve(rest.length + 4)
    for (;;) {
      const { read, written } = utf8.encodeInto(rest, this.bytes.subarray(this.at))
      this.at += written
      if (read === rest.length) return
      rest = rest.slice(read)
      this.reserve(rest.length * 3)
    }
  }
}
