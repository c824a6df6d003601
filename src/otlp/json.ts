import type { Attributes, HrTime, Link, SpanContext, SpanStatus } from '@opentelemetry/api'
import {
  FLAG_ERROR,
  FLAG_LOCAL_ROOT,
  type InstrumentationScope,
  type ReadableSpan,
  type RecordSink,
  type RecordTable,
  type Resource,
  type SpanEncoder,
  type TimedEvent,
} from '../types.ts'
import { copySection, type Group, Groups, type ResourceSections, type Section } from './groups.ts'
import { Id, IdCache } from './ids.ts'
import { JsonWriter } from './json-writer.ts'
import { type Piece, Slab } from './pieces.ts'
import { writeSettled } from './resource.ts'
import { type AttributeFormat, Templates } from './templates.ts'
import {
  assertDepth,
  enumOf,
  isInt64,
  isOwn,
  kindOf,
  plainValue,
  spanFlagsOf,
  stringOf,
  UnixTime,
  uint32Of,
} from './values.ts'
import { utf8 } from './writer.ts'

const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d
const STATUS_ERROR = 2

const literals = /* @__PURE__ */ new Slab()
const literal = (text: string): Piece => literals.add(utf8.encode(text), 0, text.length, text)
/** Everything that follows a member ends in a comma; the end of an object or array takes the comma's place. */
const TRACE_ID = /* @__PURE__ */ literal(',{"traceId":"')
const SPAN_ID = /* @__PURE__ */ literal('","spanId":"')
const PARENT_SPAN_ID = /* @__PURE__ */ literal('","parentSpanId":"')
const FLAGS = /* @__PURE__ */ literal('","flags":')
const START_TIME = /* @__PURE__ */ literal(',"startTimeUnixNano":')
const END_TIME = /* @__PURE__ */ literal(',"endTimeUnixNano":')
const NAME = /* @__PURE__ */ literal(',"name":')
const KIND = /* @__PURE__ */ literal(',"kind":')
const ATTRIBUTES = /* @__PURE__ */ literal(',"attributes":[')
const KEY = /* @__PURE__ */ literal('{"key":')
const VALUE = /* @__PURE__ */ literal(',"value":')
const STRING_VALUE = /* @__PURE__ */ literal('{"stringValue":')
const INT_VALUE = /* @__PURE__ */ literal('{"intValue":')
const DOUBLE_VALUE = /* @__PURE__ */ literal('{"doubleValue":')
const BOOL_TRUE = /* @__PURE__ */ literal('{"boolValue":true}')
const BOOL_FALSE = /* @__PURE__ */ literal('{"boolValue":false}')
const BYTES_VALUE = /* @__PURE__ */ literal('{"bytesValue":')
const ARRAY_VALUE = /* @__PURE__ */ literal('{"arrayValue":{"values":[')
const KVLIST_VALUE = /* @__PURE__ */ literal('{"kvlistValue":{"values":[')
const EMPTY_VALUE = /* @__PURE__ */ literal('{}')
const LIST_END = /* @__PURE__ */ literal(']}}')
const TRACE_STATE = /* @__PURE__ */ literal(',"traceState":')
const EVENTS = /* @__PURE__ */ literal(',"events":[')
const EVENT_TIME = /* @__PURE__ */ literal('{"timeUnixNano":')
const LINKS = /* @__PURE__ */ literal(',"links":[')
const LINK_TRACE_ID = /* @__PURE__ */ literal('{"traceId":"')
const DROPPED_ATTRIBUTES = /* @__PURE__ */ literal(',"droppedAttributesCount":')
const DROPPED_EVENTS = /* @__PURE__ */ literal(',"droppedEventsCount":')
const DROPPED_LINKS = /* @__PURE__ */ literal(',"droppedLinksCount":')
const STATUS = /* @__PURE__ */ literal(',"status":{"code":')
const MESSAGE = /* @__PURE__ */ literal(',"message":')
const RESOURCE = /* @__PURE__ */ literal('{"resource":{"attributes":[')
const SCOPE = /* @__PURE__ */ literal('{"scope":{"name":')
const VERSION = /* @__PURE__ */ literal(',"version":')
const SCHEMA_URL = /* @__PURE__ */ literal('"schemaUrl":')
const SCOPE_SPANS = /* @__PURE__ */ literal('"scopeSpans":[')
const SPANS = /* @__PURE__ */ literal('"spans":')
const REQUEST = /* @__PURE__ */ utf8.encode('{"resourceSpans":[')

const unixTime = /* @__PURE__ */ new UnixTime()

function writeValue(writer: JsonWriter, value: unknown, depth: number): void {
  if (typeof value === 'string') {
    writer.piece(STRING_VALUE)
    writer.string(value)
    writer.byte(CLOSE_BRACE)
  } else if (typeof value === 'number') {
    writeNumber(writer, value)
  } else if (typeof value === 'boolean') {
    writer.piece(value ? BOOL_TRUE : BOOL_FALSE)
  } else if (value === undefined || value === null) {
    writer.piece(EMPTY_VALUE)
  } else {
    writeCompound(writer, value, depth)
  }
}

function writeNumber(writer: JsonWriter, value: number): void {
  if (isInt64(value)) {
    writer.piece(INT_VALUE)
    writer.int64(value)
  } else {
    writer.piece(DOUBLE_VALUE)
    if (Number.isFinite(value)) writer.text(Object.is(value, -0) ? '-0' : String(value))
    else writer.string(String(value))
  }
  writer.byte(CLOSE_BRACE)
}

function writeCompound(writer: JsonWriter, given: unknown, depth: number): void {
  assertDepth(depth)
  if (given instanceof Uint8Array) {
    writer.piece(BYTES_VALUE)
    writer.base64(given)
    writer.byte(CLOSE_BRACE)
    return
  }
  const value = Array.isArray(given) ? given : plainValue(given)
  if (Array.isArray(value)) {
    writer.piece(ARRAY_VALUE)
    const start = writer.at
    for (let i = 0; i < value.length; i++) {
      writeValue(writer, value[i], depth + 1)
      writer.byte(COMMA)
    }
    if (writer.at > start) writer.at--
    writer.piece(LIST_END)
  } else if (typeof value === 'bigint') {
    writer.piece(INT_VALUE)
    writer.int64(value)
    writer.byte(CLOSE_BRACE)
  } else if (typeof value === 'object') {
    writer.piece(KVLIST_VALUE)
    const start = writer.at
    writeAttributes(writer, value as Attributes, depth + 1)
    if (writer.at > start) writer.at--
    writer.piece(LIST_END)
  } else {
    writeValue(writer, value, depth)
  }
}

/** Writes the value of a pair, its end, and a comma. */
function writeMember(writer: JsonWriter, value: unknown, depth: number): void {
  if (typeof value === 'string' ? writer.shortString(value) : writer.simpleValue(value)) return
  writeValue(writer, value, depth)
  writer.byte(CLOSE_BRACE)
  writer.byte(COMMA)
}

/** Writes a pair and a comma. */
function writeAttribute(writer: JsonWriter, key: string, value: unknown, depth: number): void {
  writer.piece(KEY)
  writer.string(key)
  writer.piece(VALUE)
  const valueAt = writer.at
  writeMember(writer, value, depth)
  writer.valueAt = valueAt
}

function writeAttributes(writer: JsonWriter, attributes: Attributes | undefined, depth: number): void {
  for (const key in attributes) {
    if (isOwn(attributes, key)) writeAttribute(writer, key, attributes[key], depth)
  }
}

/** Writes the member `attributes`, and nothing if there are none. */
function writeAttributesMember(writer: JsonWriter, attributes: Attributes | undefined): void {
  const start = writer.at
  writer.piece(ATTRIBUTES)
  writeAttributes(writer, attributes, 0)
  closeList(writer, start + ATTRIBUTES.length, start)
}

/** Ends a list of which each item has left a comma; an empty one, with its name, is taken back. */
function closeList(writer: JsonWriter, items: number, start: number): void {
  if (writer.at === items) writer.at = start
  else writer.bytes[writer.at - 1] = CLOSE_BRACKET
}

function writeCount(writer: JsonWriter, name: Piece, count: number | undefined): void {
  const dropped = uint32Of(count)
  if (dropped === 0) return
  writer.piece(name)
  writer.uint32(dropped)
}

function writeTime(writer: JsonWriter, name: Piece, time: HrTime): void {
  const seconds = time?.[0]
  const nanos = time?.[1]
  unixTime.set(seconds, nanos)
  writer.piece(name)
  writer.time(unixTime)
}

/** Writes an id; one that is none is left empty. */
function writeId(writer: JsonWriter, name: Piece, id: Id): void {
  writer.piece(name)
  if (id.valid) writer.id(id)
}

function writeString(writer: JsonWriter, name: Piece, value: unknown): void {
  const text = stringOf(value)
  if (text === '') return
  writer.piece(name)
  writer.string(text)
}

function writeTraceState(writer: JsonWriter, context: SpanContext): void {
  const { traceState } = context
  if (traceState !== undefined && traceState !== null)
    writeString(writer, TRACE_STATE, traceState.serialize())
}

/** Writes an event and a comma. */
function writeEvent(writer: JsonWriter, event: TimedEvent): void {
  writeTime(writer, EVENT_TIME, event.time)
  writeString(writer, NAME, event.name)
  writeAttributesMember(writer, event.attributes)
  writeCount(writer, DROPPED_ATTRIBUTES, event.droppedAttributesCount)
  writer.byte(CLOSE_BRACE)
  writer.byte(COMMA)
}

function writeStatus(writer: JsonWriter, status: SpanStatus | undefined): number {
  const code = enumOf(status?.code)
  const message = stringOf(status?.message)
  if (code === 0 && message === '') return code
  writer.piece(STATUS)
  writer.uint32(code)
  writeString(writer, MESSAGE, message)
  writer.byte(CLOSE_BRACE)
  return code
}

/** Writes the member `schemaUrl` and a comma. */
function writeSchemaUrl(writer: JsonWriter, schemaUrl: unknown): void {
  const text = stringOf(schemaUrl)
  if (text === '') return
  writer.piece(SCHEMA_URL)
  writer.string(text)
  writer.byte(COMMA)
}

function encodeResource(resource: Resource): Uint8Array {
  const writer = new JsonWriter(1024)
  writer.piece(RESOURCE)
  const items = writer.at
  writeSettled(writer, resource.attributes, (key, value) => writeAttribute(writer, key, value, 0))
  if (writer.at > items) writer.at--
  writer.byte(CLOSE_BRACKET)
  writer.byte(CLOSE_BRACE)
  writer.byte(COMMA)
  writeSchemaUrl(writer, resource.schemaUrl)
  writer.piece(SCOPE_SPANS)
  return writer.bytes.slice(0, writer.at)
}

function encodeScope(scope: InstrumentationScope): Uint8Array {
  const writer = new JsonWriter(512)
  writer.piece(SCOPE)
  writer.string(stringOf(scope.name))
  writeString(writer, VERSION, scope.version)
  writeAttributesMember(writer, scope.attributes)
  writer.byte(CLOSE_BRACE)
  writer.byte(COMMA)
  writeSchemaUrl(writer, scope.schemaUrl)
  writer.piece(SPANS)
  return writer.bytes.slice(0, writer.at)
}

/** Writes what spans of one name have in common. */
function writeHead(writer: JsonWriter, kind: number, name: string): void {
  writer.piece(NAME)
  writer.string(name)
  if (kind !== 0) {
    writer.piece(KIND)
    writer.uint32(kind)
  }
  writer.piece(ATTRIBUTES)
}

const attributeFormat: AttributeFormat<JsonWriter> = {
  attribute: (writer, key, value) => writeAttribute(writer, key, value, 0),
  value: (writer, _start, value) => writeMember(writer, value, 0),
}

/**
 * Encodes spans for OTLP in JSON. A record is the object of a span with a comma in front; the first of a scope has the
 * list's bracket in the comma's place.
 *
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export class JsonEncoder implements SpanEncoder {
  readonly format = 'json'
  readonly #groups = new Groups({ resource: encodeResource, scope: encodeScope })
  readonly #traceIds = new IdCache(16)
  readonly #parentIds = new IdCache(8)
  readonly #spanId = new Id(8)
  readonly #templates = new Templates(attributeFormat)
  readonly #writer = new JsonWriter()
  #busy = false

  encode(span: ReadableSpan, sink: RecordSink): void {
    // User code that runs meanwhile may end another span, which then gets a writer of its own.
    const nested = this.#busy
    const writer = nested ? new JsonWriter() : this.#writer
    if (nested) this.#writer.leave()
    let group: Group
    let traceHash: number
    let bytes: Uint8Array
    let start: number
    let end: number
    let flags = 0
    this.#busy = true
    try {
      group = this.#groups.of(span)
      const context = span.spanContext()
      const parent = span.parentSpanContext
      const parentSpanId = parent === undefined || parent === null ? span.parentSpanId : parent.spanId
      const isRemote = parent?.isRemote
      const spanFlags = spanFlagsOf(context.traceFlags, isRemote)
      const { traceId, spanId } = context
      if (!nested) writer.begin(sink.room?.())
      start = writer.at
      // Ids are read and written at once: user code, which may encode another span, could overwrite them.
      const trace = this.#traceIds.read(traceId)
      writeId(writer, TRACE_ID, trace)
      traceHash = trace.valid ? trace.words[3] : 0
      this.#spanId.read(spanId)
      writeId(writer, SPAN_ID, this.#spanId)
      const parentId = this.#parentIds.read(parentSpanId)
      if (parentId.valid) writeId(writer, PARENT_SPAN_ID, parentId)
      if (!parentId.valid || isRemote === true) flags |= FLAG_LOCAL_ROOT
      writer.piece(FLAGS)
      writer.uint32(spanFlags)

      writeTime(writer, START_TIME, span.startTime)
      writeTime(writer, END_TIME, span.endTime)
      const name = stringOf(span.name)
      const kind = kindOf(span.kind)
      const { attributes } = span
      if (nested) {
        writeHead(writer, kind, name)
        writeAttributes(writer, attributes, 0)
      } else {
        this.#templates.write(writer, kind, name, attributes, writeHead)
      }
      if (writer.bytes[writer.at - 1] === OPEN_BRACKET) writer.byte(CLOSE_BRACKET)
      else writer.bytes[writer.at - 1] = CLOSE_BRACKET

      writeCount(writer, DROPPED_ATTRIBUTES, span.droppedAttributesCount)
      writeTraceState(writer, context)
      const { events, links } = span
      if (events?.length > 0) {
        const start = writer.at
        writer.piece(EVENTS)
        for (let i = 0; i < events.length; i++) writeEvent(writer, events[i])
        closeList(writer, start + EVENTS.length, start)
      }
      writeCount(writer, DROPPED_EVENTS, span.droppedEventsCount)
      if (links?.length > 0) {
        const start = writer.at
        writer.piece(LINKS)
        for (let i = 0; i < links.length; i++) this.#writeLink(writer, links[i])
        closeList(writer, start + LINKS.length, start)
      }
      writeCount(writer, DROPPED_LINKS, span.droppedLinksCount)
      if (writeStatus(writer, span.status) === STATUS_ERROR) flags |= FLAG_ERROR
      writer.byte(CLOSE_BRACE)
      bytes = writer.bytes
      end = writer.at
    } finally {
      this.#busy = nested
      writer.end()
    }
    sink.append(bytes, start, end, group.id, flags, traceHash)
  }

  /** Writes a link and a comma. */
  #writeLink(writer: JsonWriter, link: Link): void {
    const { context } = link
    const { traceId, spanId } = context
    const flags = spanFlagsOf(context.traceFlags, context.isRemote)
    writeId(writer, LINK_TRACE_ID, this.#traceIds.read(traceId))
    this.#spanId.read(spanId)
    writeId(writer, SPAN_ID, this.#spanId)
    writer.piece(FLAGS)
    writer.uint32(flags)
    writeTraceState(writer, context)
    writeAttributesMember(writer, link.attributes)
    writeCount(writer, DROPPED_ATTRIBUTES, link.droppedAttributesCount)
    writer.byte(CLOSE_BRACE)
    writer.byte(COMMA)
  }

  frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
    const next = new Int32Array(records.count)
    const resources = this.#groups.arrange(records, next)
    // Behind the last record, scope and resource stand two closing characters each; a comma separates neighbours.
    const sectionsSize = (sum: number, { group, bytes }: Section): number =>
      sum + group.prefix.length + bytes + 3
    const resourcesSize = (sum: number, { prefix, sections }: ResourceSections): number =>
      sections.reduce(sectionsSize, sum + prefix.length + 2)
    const total = Math.max(resources.reduce(resourcesSize, REQUEST.length + 1), REQUEST.length + 2)
    const buffer = allocate(total)
    let at = 0
    const put = (bytes: Uint8Array): void => {
      buffer.set(bytes, at)
      at += bytes.length
    }
    const end = (): void => {
      buffer[at++] = CLOSE_BRACE
      buffer[at++] = COMMA
    }
    put(REQUEST)
    for (const resource of resources) {
      put(resource.prefix)
      for (const section of resource.sections) {
        put(section.group.prefix)
        at = copySection(section, next, records, buffer, at, OPEN_BRACKET, COMMA)
        buffer[at++] = CLOSE_BRACKET
        end()
      }
      buffer[at - 1] = CLOSE_BRACKET
      end()
    }
    buffer[total - 2] = CLOSE_BRACKET
    buffer[total - 1] = CLOSE_BRACE
    return buffer.subarray(0, total)
  }

  whenResourcesSettle(): Promise<void> | undefined {
    return this.#groups.whenSettled()
  }

  get groupCount(): number {
    return this.#groups.count
  }

  scopeName(group: number): string {
    return this.#groups.scopeName(group)
  }

  retainGroups(live: ReadonlySet<number>): void {
    this.#groups.retain(live)
  }
}
