/**
 * Reads ExportTraceServiceRequest, so that a test need not change the encoding that it tests. Field numbers are those of
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */

/** A message as it was read: fields that are absent have no property. */
export interface Message {
  [field: string]: unknown
}

type Scalar = 'text' | 'bytes' | 'bool' | 'int' | 'double' | 'fixed'
type Field = readonly [name: string, type: Scalar | Schema, repeated?: 'repeated']
interface Schema {
  readonly [fieldNumber: number]: Field
}

const ANY_VALUE: Record<number, Field> = {
  1: ['stringValue', 'text'],
  2: ['boolValue', 'bool'],
  3: ['intValue', 'int'],
  4: ['doubleValue', 'double'],
  7: ['bytesValue', 'bytes'],
}
const KEY_VALUE: Schema = { 1: ['key', 'text'], 2: ['value', ANY_VALUE] }
ANY_VALUE[5] = ['arrayValue', { 1: ['values', ANY_VALUE, 'repeated'] }]
ANY_VALUE[6] = ['kvlistValue', { 1: ['values', KEY_VALUE, 'repeated'] }]

const EVENT: Schema = {
  1: ['timeUnixNano', 'fixed'],
  2: ['name', 'text'],
  3: ['attributes', KEY_VALUE, 'repeated'],
  4: ['droppedAttributesCount', 'int'],
}

const LINK: Schema = {
  1: ['traceId', 'bytes'],
  2: ['spanId', 'bytes'],
  3: ['traceState', 'text'],
  4: ['attributes', KEY_VALUE, 'repeated'],
  5: ['droppedAttributesCount', 'int'],
  6: ['flags', 'fixed'],
}

const SPAN: Schema = {
  1: ['traceId', 'bytes'],
  2: ['spanId', 'bytes'],
  3: ['traceState', 'text'],
  4: ['parentSpanId', 'bytes'],
  5: ['name', 'text'],
  6: ['kind', 'int'],
  7: ['startTimeUnixNano', 'fixed'],
  8: ['endTimeUnixNano', 'fixed'],
  9: ['attributes', KEY_VALUE, 'repeated'],
  10: ['droppedAttributesCount', 'int'],
  11: ['events', EVENT, 'repeated'],
  12: ['droppedEventsCount', 'int'],
  13: ['links', LINK, 'repeated'],
  14: ['droppedLinksCount', 'int'],
  15: ['status', { 2: ['message', 'text'], 3: ['code', 'int'] }],
  16: ['flags', 'fixed'],
}

const SCOPE: Schema = {
  1: ['name', 'text'],
  2: ['version', 'text'],
  3: ['attributes', KEY_VALUE, 'repeated'],
}

const SCOPE_SPANS: Schema = {
  1: ['scope', SCOPE],
  2: ['spans', SPAN, 'repeated'],
  3: ['schemaUrl', 'text'],
}

const RESOURCE_SPANS: Schema = {
  1: ['resource', { 1: ['attributes', KEY_VALUE, 'repeated'] }],
  2: ['scopeSpans', SCOPE_SPANS, 'repeated'],
  3: ['schemaUrl', 'text'],
}

const REQUEST: Schema = { 1: ['resourceSpans', RESOURCE_SPANS, 'repeated'] }

/**
 * Reads a request into the shape that OTLP has in JSON, but with bytes as bytes and 64-bit integers as bigints.
 * @throws Error on anything malformed.
 */
export function readProtobuf(bytes: Uint8Array): Message {
  return readMessage(bytes, REQUEST)
}

function readMessage(bytes: Uint8Array, schema: Schema): Message {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const message: Message = {}
  let position = 0

  function varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = view.getUint8(position++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return BigInt.asIntN(64, value)
    }
    throw new Error('not a varint')
  }

  function chunk(): Uint8Array {
    const length = Number(varint())
    if (length < 0 || position + length > bytes.length) throw new Error('truncated')
    position += length
    return bytes.subarray(position - length, position)
  }

  function fixed(size: 4 | 8, isDouble: boolean): number | bigint {
    position += size
    if (size === 4) return view.getUint32(position - 4, true)
    return isDouble ? view.getFloat64(position - 8, true) : view.getBigUint64(position - 8, true)
  }

  while (position < bytes.length) {
    const tag = Number(varint())
    const field = schema[tag >>> 3]
    const wireType = tag & 7
    let raw: bigint | number | Uint8Array
    if (wireType === 0) raw = varint()
    else if (wireType === 1) raw = fixed(8, field?.[1] === 'double')
    else if (wireType === 2) raw = chunk()
    else if (wireType === 5) raw = fixed(4, false)
    else throw new Error(`no wire type ${wireType}`)
    if (field === undefined) continue
    const [name, type, repeated] = field
    const value = convert(raw, type)
    if (!repeated) message[name] = value
    else if (Array.isArray(message[name])) message[name].push(value)
    else message[name] = [value]
  }
  return message
}

function convert(raw: bigint | number | Uint8Array, type: Scalar | Schema): unknown {
  if (raw instanceof Uint8Array !== (typeof type === 'object' || type === 'text' || type === 'bytes')) {
    throw new Error('a field of the wrong wire type')
  }
  if (!(raw instanceof Uint8Array)) return type === 'bool' ? raw !== 0n : raw
  if (typeof type === 'object') return readMessage(raw, type)
  return type === 'text' ? new TextDecoder('utf-8', { fatal: true }).decode(raw) : raw.slice()
}
