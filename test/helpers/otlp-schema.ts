/**
 * The oracle: requests decoded with the official schema, and brought into one form with those that came as JSON, so
 * that both can be compared with what a span should have become.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import protobuf from 'protobufjs'

/** An `AnyValue`; 64-bit integers are decimal strings, bytes are base64. */
export type OtlpValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: string }
  | { doubleValue: number }
  | { arrayValue: { values: OtlpValue[] } }
  | { kvlistValue: { values: OtlpAttribute[] } }
  | { bytesValue: string }
  | Record<string, never>

export interface OtlpAttribute {
  key: string
  value: OtlpValue
}

interface OtlpEvent {
  timeUnixNano: string
  name: string
  attributes: OtlpAttribute[]
  droppedAttributesCount: number
}

interface OtlpLink {
  traceId: string
  spanId: string
  traceState: string
  attributes: OtlpAttribute[]
  droppedAttributesCount: number
  flags: number
}

export interface OtlpSpan {
  traceId: string
  spanId: string
  traceState: string
  parentSpanId: string
  flags: number
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: OtlpAttribute[]
  droppedAttributesCount: number
  events: OtlpEvent[]
  droppedEventsCount: number
  links: OtlpLink[]
  droppedLinksCount: number
  status: { code: number; message: string }
}

export interface OtlpScopeSpans {
  scope: { name: string; version: string; attributes: OtlpAttribute[] }
  schemaUrl: string
  spans: OtlpSpan[]
}

export interface OtlpResourceSpans {
  resource: { attributes: OtlpAttribute[] }
  schemaUrl: string
  scopeSpans: OtlpScopeSpans[]
}

export interface OtlpRequest {
  resourceSpans: OtlpResourceSpans[]
}

// biome-ignore lint/suspicious/noExplicitAny: what has been decoded may be anything
type Json = { [name: string]: any }

const protoRoot = dirname(createRequire(import.meta.url).resolve('@elastic/mockotlpserver/package.json'))
const schema = new protobuf.Root()
schema.resolvePath = (_origin, target) => join(protoRoot, target)
schema.loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto')
const requestType = schema.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest')

/** The fields that a span has in the official schema. */
export const spanFields: string[] = Object.keys(schema.lookupType('opentelemetry.proto.trace.v1.Span').fields)

/** Decodes a request with the official schema. */
export function decodeProtobuf(body: Uint8Array): OtlpRequest {
  const decoded = requestType.toObject(requestType.decode(body), {
    longs: String,
    enums: Number,
    bytes: String,
  })
  return request(decoded, (id) => Buffer.from(id, 'base64').toString('hex'))
}

/** Parses a request, and insists on the forms that OTLP has for JSON. */
export function decodeJson(body: Uint8Array): OtlpRequest {
  return readJson(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)))
}

/** The same for a request that has been parsed. */
export function readJson(parsed: unknown): OtlpRequest {
  return request(parsed as Json, (id) => {
    if (!/^[\da-fA-F]*$/.test(id)) throw new Error(`Not a hexadecimal id: ${id}`)
    return id.toLowerCase()
  })
}

type IdReader = (id: string) => string

function list<T>(value: unknown, each: (item: Json) => T): T[] {
  return ((value as Json[] | undefined) ?? []).map(each)
}

function known(object: Json, names: string[]): Json {
  for (const name of Object.keys(object)) {
    if (!names.includes(name)) throw new Error(`Unknown field ${name}`)
  }
  return object
}

function decimal(value: unknown): string {
  if (value === undefined) return '0'
  if (typeof value !== 'string' || !/^-?\d+$/.test(value)) throw new Error(`Not a decimal string: ${value}`)
  return value
}

function int(value: unknown): number {
  if (value === undefined) return 0
  if (!Number.isInteger(value)) throw new Error(`Not an integer: ${value}`)
  return value as number
}

function request(decoded: Json, id: IdReader): OtlpRequest {
  known(decoded, ['resourceSpans'])
  return {
    resourceSpans: list(decoded.resourceSpans, (resourceSpans) => {
      known(resourceSpans, ['resource', 'schemaUrl', 'scopeSpans'])
      known(resourceSpans.resource, ['attributes', 'droppedAttributesCount'])
      return {
        resource: { attributes: list(resourceSpans.resource.attributes, attribute) },
        schemaUrl: resourceSpans.schemaUrl ?? '',
        scopeSpans: list(resourceSpans.scopeSpans, (scopeSpans) => {
          known(scopeSpans, ['scope', 'schemaUrl', 'spans'])
          const scope = known(scopeSpans.scope, ['name', 'version', 'attributes', 'droppedAttributesCount'])
          return {
            scope: {
              name: scope.name ?? '',
              version: scope.version ?? '',
              attributes: list(scope.attributes, attribute),
            },
            schemaUrl: scopeSpans.schemaUrl ?? '',
            spans: list(scopeSpans.spans, (decodedSpan) => span(decodedSpan, id)),
          }
        }),
      }
    }),
  }
}

function span(decoded: Json, id: IdReader): OtlpSpan {
  known(decoded, spanFields)
  const status = known(decoded.status ?? {}, ['code', 'message'])
  return {
    traceId: id(decoded.traceId ?? ''),
    spanId: id(decoded.spanId ?? ''),
    traceState: decoded.traceState ?? '',
    parentSpanId: id(decoded.parentSpanId ?? ''),
    flags: int(decoded.flags),
    name: decoded.name ?? '',
    kind: int(decoded.kind),
    startTimeUnixNano: decimal(decoded.startTimeUnixNano),
    endTimeUnixNano: decimal(decoded.endTimeUnixNano),
    attributes: list(decoded.attributes, attribute),
    droppedAttributesCount: int(decoded.droppedAttributesCount),
    events: list(decoded.events, (event) => {
      known(event, ['timeUnixNano', 'name', 'attributes', 'droppedAttributesCount'])
      return {
        timeUnixNano: decimal(event.timeUnixNano),
        name: event.name ?? '',
        attributes: list(event.attributes, attribute),
        droppedAttributesCount: int(event.droppedAttributesCount),
      }
    }),
    droppedEventsCount: int(decoded.droppedEventsCount),
    links: list(decoded.links, (link) => {
      known(link, ['traceId', 'spanId', 'traceState', 'attributes', 'droppedAttributesCount', 'flags'])
      return {
        traceId: id(link.traceId ?? ''),
        spanId: id(link.spanId ?? ''),
        traceState: link.traceState ?? '',
        attributes: list(link.attributes, attribute),
        droppedAttributesCount: int(link.droppedAttributesCount),
        flags: int(link.flags),
      }
    }),
    droppedLinksCount: int(decoded.droppedLinksCount),
    status: { code: int(status.code), message: status.message ?? '' },
  }
}

function attribute(decoded: Json): OtlpAttribute {
  known(decoded, ['key', 'value'])
  return { key: decoded.key ?? '', value: value(decoded.value ?? {}) }
}

function value(decoded: Json): OtlpValue {
  const names = Object.keys(decoded)
  if (names.length > 1) throw new Error(`A value of two types: ${names}`)
  const name = names[0]
  const content = name === undefined ? undefined : decoded[name]
  switch (name) {
    case undefined:
      return {}
    case 'stringValue':
      return { stringValue: content }
    case 'boolValue':
      return { boolValue: content }
    case 'intValue':
      return { intValue: decimal(content) }
    case 'doubleValue':
      if (typeof content === 'number') return { doubleValue: content }
      if (!['NaN', 'Infinity', '-Infinity'].includes(content)) throw new Error(`Not a double: ${content}`)
      return { doubleValue: Number(content) }
    case 'bytesValue':
      return { bytesValue: content }
    case 'arrayValue':
      return { arrayValue: { values: list(content.values, value) } }
    case 'kvlistValue':
      return { kvlistValue: { values: list(content.values, attribute) } }
    default:
      throw new Error(`Unknown value ${name}`)
  }
}
