/**
 * Cuts a request in protobuf into one for each trace, without decoding it: spans are copied as they are, within the
 * fields of their resource and their scope.
 *
 *     request        1: ResourceSpans ──► 1: resource, 3: schema URL, 2: ScopeSpans ──► 1: scope, 3: schema URL, 2: Span
 *
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */

/** ResourceSpans or ScopeSpans: the fields that it has besides what is cut. */
interface Envelope {
  readonly own: Buffer
}

interface ScopeEnvelope extends Envelope {
  readonly resource: Envelope
}

/** A span in the request, its tag included. */
interface SpanField {
  readonly start: number
  readonly end: number
  readonly scope: ScopeEnvelope
}

/** Spans of a trace that go together, in the order of the request, so that those of one scope are neighbours. */
interface Group {
  readonly traceId: string
  readonly spans: SpanField[]
  /** What they come to, or a little more. */
  bytes: number
}

/** A part of the request: spans of one trace. */
export interface TracePart {
  /** Lower-case hexadecimal digits; empty where a span has none. */
  readonly traceId: string
  readonly body: Buffer
}

/** Tag and length of an envelope take no more than this. */
const HEAD_BYTES = 6

/** In ResourceSpans the ScopeSpans, in ScopeSpans the spans. */
const CONTENT = 2

/** Small enough for the allocator to have it at hand: larger ones come from the system, page by page. */
const SLAB_BYTES = 64 * 1024

const TRACE_ID_BYTES = 16
const TRACE_ID_TAG = 0x0a

/**
 * @param maxBytes - No part is larger; a trace may take several.
 * @returns `undefined` when one span alone is too large.
 */
export function splitByTrace(body: Uint8Array, maxBytes: number): TracePart[] | undefined {
  const source = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const groups = groupsIn(source, maxBytes)
  if (groups.some(({ bytes }) => bytes > maxBytes)) return undefined
  const out = new BackwardWriter()
  return groups.map(({ traceId, spans, bytes }) => {
    out.makeRoom(bytes)
    return { traceId, body: frame(source, spans, out) }
  })
}

function groupsIn(source: Buffer, maxBytes: number): Group[] {
  const groups: Group[] = []
  const traces = new Traces(source)
  const add = (field: Fields, span: SpanField) => {
    const trace = traces.of(field)
    const { group } = trace
    const bytes = bytesNeeded(span, group?.spans.at(-1)?.scope)
    if (group !== undefined && group.bytes + bytes <= maxBytes) {
      group.spans.push(span)
      group.bytes += bytes
      return
    }
    trace.group = { traceId: trace.id, spans: [span], bytes: bytesNeeded(span) }
    groups.push(trace.group)
  }
  const resources = new Fields(source, 0, source.length)
  while (resources.next()) {
    const resource = envelope(source, resources)
    const scopes = resources.inner()
    while (scopes.next()) {
      if (scopes.number !== CONTENT) continue
      const scope = { ...envelope(source, scopes), resource }
      const spans = scopes.inner()
      while (spans.next()) {
        if (spans.number !== CONTENT) continue
        add(spans, { start: spans.start, end: spans.end, scope })
      }
    }
  }
  return groups
}

/** A trace, and the group of it that is being filled. */
interface Trace {
  readonly id: string
  /** Where the bytes of its id lie. */
  readonly at: number
  group: Group | undefined
}

/** The traces of a request by their ids, without making a string of each span's. */
class Traces {
  readonly #source: Buffer
  /** By the last four bytes of the id. Should two have the same, the first one begins another group when it comes again. */
  readonly #byWord = new Map<number, Trace>()
  readonly #none: Trace = { id: '', at: 0, group: undefined }

  constructor(source: Buffer) {
    this.#source = source
  }

  /** Our encoder puts the id first, and leaves out one that is not of 16 bytes. */
  of({ valueAt, end }: Fields): Trace {
    const source = this.#source
    const at = valueAt + 2
    const isThere = source[valueAt] === TRACE_ID_TAG && source[valueAt + 1] === TRACE_ID_BYTES
    if (!isThere || at + TRACE_ID_BYTES > end) return this.#none
    const word = source.readInt32LE(at + 12)
    const known = this.#byWord.get(word)
    if (known !== undefined && this.#areAlike(known.at, at)) return known
    const trace = { id: source.toString('hex', at, at + TRACE_ID_BYTES), at, group: undefined }
    this.#byWord.set(word, trace)
    return trace
  }

  #areAlike(one: number, other: number): boolean {
    const source = this.#source
    for (let i = 0; i < 12; i += 4)
      if (source.readInt32LE(one + i) !== source.readInt32LE(other + i)) return false
    return true
  }
}

/** @param before - The scope of the span before it, if there is one: what they share is there already. */
function bytesNeeded({ start, end, scope }: SpanField, before?: ScopeEnvelope): number {
  let bytes = end - start
  if (scope !== before) bytes += scope.own.length + HEAD_BYTES
  if (scope.resource !== before?.resource) bytes += scope.resource.own.length + HEAD_BYTES
  return bytes
}

/** From the last to the first, since a length stands before what it is the length of. */
function frame(source: Buffer, spans: readonly SpanField[], out: BackwardWriter): Buffer {
  const end = out.at
  let i = spans.length - 1
  while (i >= 0) {
    const { resource } = spans[i].scope
    const resourceEnd = out.at
    while (i >= 0 && spans[i].scope.resource === resource) {
      const { scope } = spans[i]
      const scopeEnd = out.at
      for (; i >= 0 && spans[i].scope === scope; i--) out.bytes(source, spans[i].start, spans[i].end)
      out.bytes(scope.own, 0, scope.own.length)
      out.head(2, scopeEnd - out.at)
    }
    out.bytes(resource.own, 0, resource.own.length)
    out.head(1, resourceEnd - out.at)
  }
  return out.written(end)
}

/** Fills one memory after the other from its end. */
class BackwardWriter {
  at = 0
  #target = Buffer.alloc(0)

  makeRoom(bytes: number): void {
    if (bytes <= this.at) return
    this.at = Math.max(bytes, SLAB_BYTES)
    this.#target = Buffer.allocUnsafeSlow(this.at)
  }

  bytes(source: Buffer, from: number, to: number): void {
    this.at -= to - from
    source.copy(this.#target, this.at, from, to)
  }

  /** Tag and length of a field that holds a message. */
  head(number: number, length: number): void {
    let size = 1
    for (let left = length; left > 127; left >>>= 7) size++
    this.at -= 1 + size
    this.#target[this.at] = (number << 3) | 2
    let left = length
    for (let i = 1; i < size; i++, left >>>= 7) this.#target[this.at + i] = (left & 127) | 128
    this.#target[this.at + size] = left
  }

  written(end: number): Buffer {
    return this.#target.subarray(this.at, end)
  }
}

/** The fields of a message, one after the other. What our encoder writes ends where it should, and has no groups. */
class Fields {
  /** Of the field that `next` has found: its number, where its tag begins, its value, and where it ends. */
  number = 0
  start = 0
  valueAt = 0
  end: number
  readonly #source: Buffer
  readonly #to: number

  constructor(source: Buffer, from: number, to: number) {
    this.#source = source
    this.end = from
    this.#to = to
  }

  next(): boolean {
    if (this.end >= this.#to) return false
    this.start = this.end
    const tag = this.#varint()
    const wireType = tag & 7
    this.number = tag >>> 3
    this.valueAt = this.end
    if (wireType === 2) {
      const length = this.#varint()
      this.valueAt = this.end
      this.end += length
    } else if (wireType === 0) this.#varint()
    else this.end += wireType === 1 ? 8 : 4
    return true
  }

  /** The fields of the message that the field holds. */
  inner(): Fields {
    return new Fields(this.#source, this.valueAt, this.end)
  }

  #varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#source[this.end++] as number
      if (shift < 32) value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
  }
}

function envelope(source: Buffer, message: Fields): Envelope {
  const own: Buffer[] = []
  const fields = message.inner()
  while (fields.next()) {
    if (fields.number !== CONTENT) own.push(source.subarray(fields.start, fields.end))
  }
  return { own: Buffer.concat(own) }
}
