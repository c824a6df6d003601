/**
 * Puts a string at `at`, four characters at a time. Answers whether it is ASCII; if not, what has been put is rubbish.
 *
 * V8 has half a dozen kinds of strings (one byte or two, interned, slices, …), and a place that has called
 * `text.charCodeAt` on more than four of them looks the method up anew each time, which takes three times as long as
 * the rest. Taken from a constant, it is known beforehand; so it is wherever characters are read one by one.
 */
export function packAscii(view: DataView, at: number, text: string, length: number): boolean {
  const { charCodeAt } = ''
  let seen = 0
  let i = 0
  for (; i + 4 <= length; i += 4) {
    const a = charCodeAt.call(text, i)
    const b = charCodeAt.call(text, i + 1)
    const c = charCodeAt.call(text, i + 2)
    const d = charCodeAt.call(text, i + 3)
    seen |= a | b | c | d
    view.setInt32(at + i, a | (b << 8) | (c << 16) | (d << 24), true)
  }
  for (; i < length; i++) {
    const a = charCodeAt.call(text, i)
    seen |= a
    view.setUint8(at + i, a)
  }
  return seen <= 0x7f
}
