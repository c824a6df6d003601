/** Counts the spans of a request without decoding them, by stepping over fields. */

const RESOURCE_SPANS = 1
const SCOPE_SPANS = 2
const SPANS = 2

/** Visits the fields with a length at one level of a message. */
function eachMessage(
  bytes: Uint8Array,
  from: number,
  to: number,
  field: number,
  visit: (from: number, to: number) => void,
): void {
  let at = from
  const varint = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }
  while (at < to) {
    const tag = varint()
    if ((tag & 7) !== 2) throw new Error(`A field of type ${tag & 7} where messages are expected`)
    const end = varint() + at
    if (end > to) throw new Error('A message longer than what holds it')
    if (tag >> 3 === field) visit(at, end)
    at = end
  }
}

/** The number of spans in an `ExportTraceServiceRequest`. */
export function countSpans(body: Uint8Array): number {
  let count = 0
  eachMessage(body, 0, body.length, RESOURCE_SPANS, (from, to) =>
    eachMessage(body, from, to, SCOPE_SPANS, (start, end) =>
      eachMessage(body, start, end, SPANS, () => count++),
    ),
  )
  return count
}

/** The same of a request in JSON. */
export function countJsonSpans(body: Uint8Array): number {
  const { resourceSpans } = JSON.parse(Buffer.from(body).toString())
  let count = 0
  for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) count += spans.length
  return count
}
