import type { Attributes, Link, SpanContext, SpanStatus } from '@opentelemetry/api'
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
import { ProtobufWriter, putVarint, varintSize } from './protobuf-writer.ts'
import { writeSettled } from './resource.ts'
import { type AttributeFormat, Templates } from './templates.ts'
import {
  assertDepth,
  enumOf,
  Int64,
  isInt64,
  isOwn,
  kindOf,
  plainValue,
  spanFlagsOf,
  stringOf,
  UnixTime,
  uint32Of,
} from './values.ts'

const SPANS_TAG = 0x12

const STATUS_ERROR = 2

const integer = /* @__PURE__ */ new Int64()
const unixTime = /* @__PURE__ */ new UnixTime()

function writeValue(writer: ProtobufWriter, value: unknown, depth: number): void {
  if (typeof value === 'string') {
    writer.string(0x0a, value)
  } else if (typeof value === 'number') {
    if (isInt64(value)) {
      integer.setNumber(value)
      writer.byte(0x18)
      writer.varint64(integer)
    } else {
      writer.reserve(9)
      writer.bytes[writer.at] = 0x21
      writer.view.setFloat64(writer.at + 1, value, true)
      writer.at += 9
    }
  } else if (typeof value === 'boolean') {
    writer.byte(0x10)
    writer.byte(value ? 1 : 0)
  } else if (value !== undefined && value !== null) {
    writeCompound(writer, value, depth)
  }
}

function writeCompound(writer: ProtobufWriter, given: unknown, depth: number): void {
  assertDepth(depth)
  if (given instanceof Uint8Array) {
    writer.byte(0x3a)
    writer.varint(given.length)
    writer.raw(given)
    return
  }
  const value = Array.isArray(given) ? given : plainValue(given)
  if (Array.isArray(value)) {
    const start = writer.open(0x2a)
    for (let i = 0; i < value.length; i++) {
      const item = writer.open(0x0a)
      writeValue(writer, value[i], depth + 1)
      writer.close(item)
    }
    writer.close(start)
  } else if (typeof value === 'bigint') {
    integer.setBigInt(value)
    writer.byte(0x18)
    writer.varint64(integer)
  } else if (typeof value === 'object') {
    const start = writer.open(0x32)
    writeAttributes(writer, 0x0a, value as Attributes, depth + 1)
    writer.close(start)
  } else {
    writeValue(writer, value, depth)
  }
}

/** Writes the `value` of a `KeyValue`. */
function writeValueField(writer: ProtobufWriter, value: unknown, depth: number): void {
  if (typeof value === 'string' ? writer.shortString(value) : writer.simpleValue(value)) return
  const start = writer.open(0x12)
  writeValue(writer, value, depth)
  writer.close(start)
}

function writeAttribute(
  writer: ProtobufWriter,
  tag: number,
  key: string,
  value: unknown,
  depth: number,
): void {
  const start = writer.open(tag)
  writer.string(0x0a, key)
  const valueAt = writer.at
  writeValueField(writer, value, depth)
  // A length of two bytes has no place in front of another value.
  writer.valueAt = writer.at - start < 0x80 ? valueAt : 0
  writer.close(start)
}

function writeAttributes(
  writer: ProtobufWriter,
  tag: number,
  attributes: Attributes | undefined,
  depth: number,
): void {
  for (const key in attributes) {
    if (isOwn(attributes, key)) writeAttribute(writer, tag, key, attributes[key], depth)
  }
}

function writeCount(writer: ProtobufWriter, tag: number, count: number | undefined): void {
  const dropped = uint32Of(count)
  if (dropped === 0) return
  writer.byte(tag)
  writer.varint(dropped)
}

/** Puts a point in time at `at` and returns its end. */
function putTime(view: DataView, at: number, tag: number, seconds: number, nanos: number): number {
  unixTime.set(seconds, nanos)
  view.setUint8(at, tag)
  view.setInt32(at + 1, unixTime.low, true)
  view.setInt32(at + 5, unixTime.high, true)
  return at + 9
}

/** Puts an id at `at` and returns its end; one that is none is left out. */
function putId(view: DataView, at: number, tag: number, { valid, size, words }: Id): number {
  if (!valid) return at
  view.setInt16(at, tag | (size << 8), true)
  view.setInt32(at + 2, words[0], true)
  view.setInt32(at + 6, words[1], true)
  if (size > 8) {
    view.setInt32(at + 10, words[2], true)
    view.setInt32(at + 14, words[3], true)
  }
  return at + 2 + size
}

function writeTraceState(writer: ProtobufWriter, context: SpanContext): void {
  const { traceState } = context
  if (traceState === undefined || traceState === null) return
  const text = stringOf(traceState.serialize())
  if (text !== '') writer.string(0x1a, text)
}

/** Writes a string field, which means the same when it is left out as when it is empty. */
function writeString(writer: ProtobufWriter, tag: number, value: unknown): void {
  const text = stringOf(value)
  if (text !== '') writer.string(tag, text)
}

function writeEvent(writer: ProtobufWriter, event: TimedEvent): void {
  const start = writer.open(0x5a)
  const { time } = event
  const seconds = time?.[0]
  const nanos = time?.[1]
  writer.reserve(9)
  writer.at = putTime(writer.view, writer.at, 0x09, seconds, nanos)
  writeString(writer, 0x12, event.name)
  writeAttributes(writer, 0x1a, event.attributes, 0)
  writeCount(writer, 0x20, event.droppedAttributesCount)
  writer.close(start)
}

function writeStatus(writer: ProtobufWriter, status: SpanStatus | undefined): number {
  const code = enumOf(status?.code)
  const message = stringOf(status?.message)
  if (code === 0 && message === '') return code
  const start = writer.open(0x7a)
  if (message !== '') writer.string(0x12, message)
  if (code !== 0) {
    writer.byte(0x18)
    writer.varint(code)
  }
  writer.close(start)
  return code
}

function encodeResource(resource: Resource): Uint8Array {
  const writer = new ProtobufWriter(512)
  const start = writer.open(0x0a)
  writeSettled(writer, resource.attributes, (key, value) => writeAttribute(writer, 0x0a, key, value, 0))
  writer.close(start)
  writeString(writer, 0x1a, resource.schemaUrl)
  return writer.bytes.slice(0, writer.at)
}

function encodeScope(scope: InstrumentationScope): Uint8Array {
  const writer = new ProtobufWriter(256)
  const start = writer.open(0x0a)
  writeString(writer, 0x0a, scope.name)
  writeString(writer, 0x12, scope.version)
  writeAttributes(writer, 0x1a, scope.attributes, 0)
  writer.close(start)
  writeString(writer, 0x1a, scope.schemaUrl)
  return writer.bytes.slice(0, writer.at)
}

/** Writes what spans of one name have in common. */
function writeHead(writer: ProtobufWriter, kind: number, name: string): void {
  writeString(writer, 0x2a, name)
  if (kind === 0) return
  writer.byte(0x30)
  writer.varint(kind)
}

const attributeFormat: AttributeFormat<ProtobufWriter> = {
  attribute: (writer, key, value) => writeAttribute(writer, 0x4a, key, value, 0),
  value(writer, start, value) {
    writeValueField(writer, value, 0)
    writer.close(start + 2)
  },
}

/**
 * Encodes spans for OTLP in Protocol Buffers. A record is a whole `spans` field of `ScopeSpans`, tag and length
 * included, so that a batch is its records with little around them.
 *
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */
export class ProtobufEncoder implements SpanEncoder {
  readonly format = 'protobuf'
  readonly #groups = new Groups({ resource: encodeResource, scope: encodeScope })
  readonly #traceIds = new IdCache(16)
  readonly #parentIds = new IdCache(8)
  readonly #spanId = new Id(8)
  readonly #templates = new Templates(attributeFormat)
  readonly #writer = new ProtobufWriter()
  #busy = false

  encode(span: ReadableSpan, sink: RecordSink): void {
    // User code that runs meanwhile may end another span, which then gets a writer of its own.
    const nested = this.#busy
    const writer = nested ? new ProtobufWriter() : this.#writer
    if (nested) this.#writer.leave()
    let group: Group
    let traceHash: number
    let flags = 0
    let bytes: Uint8Array
    let start: number
    let end: number
    this.#busy = true
    try {
      group = this.#groups.of(span)
      const context = span.spanContext()
      const parent = span.parentSpanContext
      const parentSpanId = parent === undefined || parent === null ? span.parentSpanId : parent.spanId
      const isRemote = parent?.isRemote
      const spanFlags = spanFlagsOf(context.traceFlags, isRemote)
      const { traceId, spanId } = context
      const { startTime, endTime } = span
      const startSeconds = startTime?.[0]
      const startNanos = startTime?.[1]
      const endSeconds = endTime?.[0]
      const endNanos = endTime?.[1]

      // From here to the end of the block no user code runs, which could encode another span and overwrite the ids.
      if (!nested) writer.begin(sink.room?.())
      const content = writer.openLong(SPANS_TAG)
      const { view } = writer
      const trace = this.#traceIds.read(traceId)
      const parentId = this.#parentIds.read(parentSpanId)
      this.#spanId.read(spanId)
      traceHash = trace.valid ? trace.words[3] : 0
      if (!parentId.valid || isRemote === true) flags |= FLAG_LOCAL_ROOT
      let at = putId(view, content, 0x0a, trace)
      at = putId(view, at, 0x12, this.#spanId)
      at = putId(view, at, 0x22, parentId)
      view.setInt16(at, 0x0185, true)
      view.setInt32(at + 2, spanFlags, true)
      at = putTime(view, at + 6, 0x39, startSeconds, startNanos)
      writer.at = putTime(view, at, 0x41, endSeconds, endNanos)

      const name = stringOf(span.name)
      const kind = kindOf(span.kind)
      const { attributes } = span
      if (nested) {
        writeHead(writer, kind, name)
        writeAttributes(writer, 0x4a, attributes, 0)
      } else {
        this.#templates.write(writer, kind, name, attributes, writeHead)
      }

      writeCount(writer, 0x50, span.droppedAttributesCount)
      writeTraceState(writer, context)
      const { events, links } = span
      if (events) for (let i = 0; i < events.length; i++) writeEvent(writer, events[i])
      writeCount(writer, 0x60, span.droppedEventsCount)
      if (links) for (let i = 0; i < links.length; i++) this.#writeLink(writer, links[i])
      writeCount(writer, 0x70, span.droppedLinksCount)
      if (writeStatus(writer, span.status) === STATUS_ERROR) flags |= FLAG_ERROR
      start = writer.closeLong(content)
      bytes = writer.bytes
      end = writer.at
    } finally {
      this.#busy = nested
      writer.end()
    }
    sink.append(bytes, start, end, group.id, flags, traceHash)
  }

  #writeLink(writer: ProtobufWriter, link: Link): void {
    const start = writer.open(0x6a)
    const { context } = link
    const { traceId, spanId } = context
    const flags = spanFlagsOf(context.traceFlags, context.isRemote)
    writer.reserve(28)
    this.#spanId.read(spanId)
    const at = putId(writer.view, writer.at, 0x0a, this.#traceIds.read(traceId))
    writer.at = putId(writer.view, at, 0x12, this.#spanId)
    writeTraceState(writer, context)
    writeAttributes(writer, 0x22, link.attributes, 0)
    writeCount(writer, 0x28, link.droppedAttributesCount)
    writer.reserve(5)
    writer.bytes[writer.at] = 0x35
    writer.view.setInt32(writer.at + 1, flags, true)
    writer.at += 5
    writer.close(start)
  }

  frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
    const next = new Int32Array(records.count)
    const resources = this.#groups.arrange(records, next)
    const fieldSize = (size: number): number => 1 + varintSize(size) + size
    const sectionSize = (section: Section): number => section.group.prefix.length + section.bytes
    const resourceSize = ({ prefix, sections }: ResourceSections): number =>
      sections.reduce((sum, section) => sum + fieldSize(sectionSize(section)), prefix.length)
    const total = resources.reduce((sum, resource) => sum + fieldSize(resourceSize(resource)), 0)
    const buffer = allocate(total)
    let at = 0
    const open = (tag: number, size: number, prefix: Uint8Array): void => {
      buffer[at] = tag
      at = putVarint(buffer, at + 1, size)
      buffer.set(prefix, at)
      at += prefix.length
    }
    for (const resource of resources) {
      open(0x0a, resourceSize(resource), resource.prefix)
      for (const section of resource.sections) {
        open(0x12, sectionSize(section), section.group.prefix)
        at = copySection(section, next, records, buffer, at, SPANS_TAG, SPANS_TAG)
      }
    }
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
