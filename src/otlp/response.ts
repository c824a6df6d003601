/**
 * Reads ExportTraceServiceResponse. Whatever cannot be read counts as plain success: the status was 2xx.
 * https://opentelemetry.io/docs/specs/otlp/#partial-success-1
 */

/** What the backend says of a batch that it took. */
export interface PartialSuccess {
  /** Spans that it rejected, from 0 to the number that were sent. */
  readonly rejected: number
  /** Its own words: one line, 256 characters at most, no control characters. */
  readonly message?: string
}

const MAX_MESSAGE_LENGTH = 256

/**
 * The partial success in a response body, in protobuf or JSON. Never throws.
 * @param body - The body of a 2xx response.
 * @param contentType - The response's content type, or the request's where there is none; others are not read.
 * @param spanCount - How many spans were sent.
 */
export function readPartialSuccess(body: Uint8Array, contentType: string, spanCount: number): PartialSuccess {
  try {
    const [rejected, message] = /json/i.test(contentType)
      ? readJson(body)
      : /protobuf/i.test(contentType)
        ? readProtobuf(body)
        : []
    const number = /^(number|string)$/.test(typeof rejected) ? Math.floor(Number(rejected)) : 0
    // Written so that NaN, too, becomes 0.
    const count = number > 0 ? Math.min(number, spanCount) : 0
    const text = typeof message === 'string' ? printable(message) : ''
    return text ? { rejected: count, message: text } : { rejected: count }
  } catch {
    return { rejected: 0 }
  }
}

function printable(text: string): string {
  return text
    .slice(0, MAX_MESSAGE_LENGTH)
    .replace(/[\p{C}\u2028\u2029]+/gu, ' ')
    .trim()
}

function readJson(body: Uint8Array): [rejected?: unknown, message?: unknown] {
  // int64 is a string in protobuf's JSON; some backends write a number.
  const { rejectedSpans, errorMessage } = JSON.parse(new TextDecoder().decode(body)).partialSuccess
  return [rejectedSpans, errorMessage]
}

/**
 * ```text
 * ExportTraceServiceResponse { 1: ExportTracePartialSuccess { 1: int64 rejected_spans, 2: string error_message } }
 * ```
 */
function readProtobuf(body: Uint8Array): [rejected?: unknown, message?: unknown] {
  const partialSuccess = readFields(body)[1]
  if (!(partialSuccess instanceof Uint8Array)) return []
  const fields = readFields(partialSuccess)
  const message = fields[2]
  return [fields[1], message instanceof Uint8Array ? new TextDecoder().decode(message) : '']
}

/** The last value of each field, fixed-width ones passed over. @throws RangeError on anything malformed. */
function readFields(bytes: Uint8Array): (number | Uint8Array | undefined)[] {
  const fields: (number | Uint8Array | undefined)[] = []
  let position = 0

  function varint(): number {
    let value = 0
    let scale = 1
    for (let read = 0; read < 10; read++, scale *= 128) {
      const byte = bytes[position++]
      if (byte === undefined) break
      value += (byte & 127) * scale
      // The tenth byte is there for negative numbers only.
      if (byte < 128) return read === 9 ? -1 : value
    }
    throw new RangeError('not a varint')
  }

  while (position < bytes.length) {
    const tag = varint()
    const wireType = tag % 8
    let value: number | Uint8Array | undefined
    if (wireType === 0) value = varint()
    else if (wireType === 1) position += 8
    else if (wireType === 5) position += 4
    else if (wireType === 2) {
      const end = varint() + position
      value = bytes.subarray(position, end)
      position = end
    } else throw new RangeError('not a wire type')
    if (position > bytes.length) throw new RangeError('truncated')
    const field = Math.floor(tag / 8)
    if (field === 1 || field === 2) fields[field] = value
  }
  return fields
}
