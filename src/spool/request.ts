/**
 * Request bodies as they lie on disk: is one whole, how many spans does it hold, and what are its halves? Reads the wire
 * format as far as the fields of a span, whatever they mean.
 * https://protobuf.dev/programming-guides/encoding/
 */

/** A field whose content has a length. */
interface Field {
  readonly number: number
  /** Where its tag begins, where its content does, and where both end. */
  readonly from: number
  readonly start: number
  readonly end: number
}

/** `resource_spans`, `scope_spans` and `spans`. */
const RESOURCE_SPANS = 1
const SCOPE_SPANS = 2
const SPANS = 2
const LENGTH_DELIMITED = 2

/** How many spans a request holds; `undefined` if it is torn, empty, or not a request at all. */
export function countSpans(body: Uint8Array): number | undefined {
  try {
    let count = 0
    for (const spans of spansByScope(body)) {
      for (const { start, end } of spans) fieldsOf(body, start, end)
      count += spans.length
    }
    return count === 0 ? undefined : count
  } catch {
    return undefined
  }
}

/** Cuts a whole request of two spans or more in the middle. */
export function splitRequest(body: Uint8Array): [Uint8Array, Uint8Array] {
  const half = Math.floor((countSpans(body) ?? 0) / 2)
  return [keepSpans(body, (index) => index < half), keepSpans(body, (index) => index >= half)]
}

function* spansByScope(body: Uint8Array): Generator<Field[]> {
  for (const resource of fieldsOf(body, 0, body.length)) {
    if (resource.number !== RESOURCE_SPANS) continue
    for (const scope of fieldsOf(body, resource.start, resource.end)) {
      if (scope.number === SCOPE_SPANS) {
        yield fieldsOf(body, scope.start, scope.end).filter(({ number }) => number === SPANS)
      }
    }
  }
}

/** The same request with some of its spans, and without the scopes and resources that have none of them. */
function keepSpans(body: Uint8Array, keeps: (index: number) => boolean): Uint8Array {
  let index = 0
  const resources: Uint8Array[] = []
  for (const resource of fieldsOf(body, 0, body.length)) {
    if (resource.number !== RESOURCE_SPANS) continue
    const scopes: Uint8Array[] = []
    for (const scope of fieldsOf(body, resource.start, resource.end)) {
      if (scope.number !== SCOPE_SPANS) continue
      const fields = fieldsOf(body, scope.start, scope.end)
      const kept = fields.filter(({ number }) => number === SPANS && keeps(index++))
      if (kept.length === 0) continue
      scopes.push(
        message(SCOPE_SPANS, [...others(body, fields, SPANS), ...kept.map((span) => raw(body, span))]),
      )
    }
    if (scopes.length === 0) continue
    const fields = fieldsOf(body, resource.start, resource.end)
    resources.push(message(RESOURCE_SPANS, [...others(body, fields, SCOPE_SPANS), ...scopes]))
  }
  return Buffer.concat(resources)
}

function others(body: Uint8Array, fields: Field[], except: number): Uint8Array[] {
  return fields.filter(({ number }) => number !== except).map((field) => raw(body, field))
}

function raw(body: Uint8Array, { from, end }: Field): Uint8Array {
  return body.subarray(from, end)
}

function message(number: number, parts: Uint8Array[]): Uint8Array {
  let length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = [(number << 3) | LENGTH_DELIMITED]
  for (; length > 127; length = Math.floor(length / 128)) head.push((length % 128) | 128)
  head.push(length)
  return Buffer.concat([Uint8Array.from(head), ...parts])
}

/** @throws RangeError where the fields do not end with the message. */
function fieldsOf(body: Uint8Array, from: number, to: number): Field[] {
  const fields: Field[] = []
  let at = from
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = at < to && factor < 2 ** 64 ? (body[at++] as number) : -1
      if (byte < 0) throw new RangeError('a number without an end')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < to) {
    const began = at
    const tag = varint()
    const number = Math.floor(tag / 8)
    if (number === 0) throw new RangeError('a field without a number')
    let start = at
    const type = tag & 7
    if (type === 0) varint()
    else if (type === 1) at += 8
    else if (type === 5) at += 4
    else if (type === LENGTH_DELIMITED) {
      const length = varint()
      start = at
      at += length
    } else throw new RangeError('a field of an unknown type')
    if (at > to) throw new RangeError('a field without an end')
    fields.push({ number, from: began, start, end: at })
  }
  return fields
}
