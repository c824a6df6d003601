/**
 * Cuts a request in protobuf into one for each trace, without decoding it: spans are copied as they are, within the
 * fields of their resource and their scope.
 *
 *     request        1: ResourceSpans ──► 1: resource, 3: schema URL, 2: ScopeSpans ──► 1: scope, 3: schema URL, 2: Span
 *
 * https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */

/** A field of the request, its tag included. */
interface Field {
  readonly number: number
  readonly start: number
  /** Where its value begins. */
  readonly valueAt: number
  readonly end: number
}

/** ResourceSpans or ScopeSpans: what it has besides what is cut. */
interface Envelope {
  readonly own: readonly Field[]
  readonly ownBytes: number
}

interface SpanField extends Field {
  readonly resource: Envelope
  readonly scope: Envelope
}

/** A part of the request: spans of one trace. */
export interface TracePart {
  /** Lower-case hexadecimal digits. */
  readonly traceId: string
  readonly body: Uint8Array
}

/** Tag and length of an envelope take no more than this. */
const HEAD_BYTES = 6

/**
 * @param maxBytes - No part is larger; a trace may take several.
 * @returns `undefined` when one span alone is too large.
 */
export function splitByTrace(body: Uint8Array, maxBytes: number): TracePart[] | undefined {
  const traces = new Map<string, SpanField[]>()
  for (const span of spansOf(body)) {
    const traceId = traceIdOf(body, span)
    const spans = traces.get(traceId)
    if (spans === undefined) traces.set(traceId, [span])
    else spans.push(span)
  }
  const parts: TracePart[] = []
  for (const [traceId, spans] of traces) {
    for (const group of cut(spans, maxBytes)) {
      if (group.bytes > maxBytes) return undefined
      parts.push({ traceId, body: join(body, group.spans) })
    }
  }
  return parts
}

/** Spans that fit together, in order; one that does not fit anywhere is alone. `bytes` is a little too much at worst. */
function* cut(
  spans: readonly SpanField[],
  maxBytes: number,
): Generator<{ spans: SpanField[]; bytes: number }> {
  let group: SpanField[] = []
  let envelopes = new Set<Envelope>()
  let bytes = 0
  for (const span of spans) {
    const added = span.end - span.start
    const fresh = [span.resource, span.scope].filter((envelope) => !envelopes.has(envelope))
    const needed = fresh.reduce((sum, { ownBytes }) => sum + ownBytes + HEAD_BYTES, added)
    if (group.length > 0 && bytes + needed > maxBytes) {
      yield { spans: group, bytes }
      group = []
      envelopes = new Set()
      bytes = added + span.resource.ownBytes + span.scope.ownBytes + 2 * HEAD_BYTES
    } else {
      bytes += needed
    }
    group.push(span)
    envelopes.add(span.resource).add(span.scope)
  }
  yield { spans: group, bytes }
}

function join(source: Uint8Array, spans: readonly SpanField[]): Uint8Array {
  const resources = new Map<Envelope, Map<Envelope, SpanField[]>>()
  for (const span of spans) {
    const scopes = resources.get(span.resource) ?? new Map<Envelope, SpanField[]>()
    resources.set(span.resource, scopes.set(span.scope, [...(scopes.get(span.scope) ?? []), span]))
  }
  const chunks: Uint8Array[] = []
  for (const [resource, scopes] of resources) {
    const inner: Uint8Array[] = resource.own.map((field) => source.subarray(field.start, field.end))
    for (const [scope, fields] of scopes) {
      const fieldsOfScope = [...scope.own, ...fields].map(({ start, end }) => source.subarray(start, end))
      inner.push(head(2, lengthOf(fieldsOfScope)), ...fieldsOfScope)
    }
    chunks.push(head(1, lengthOf(inner)), ...inner)
  }
  const body = new Uint8Array(lengthOf(chunks))
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.length
  }
  return body
}

function lengthOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0)
}

/** Tag and length of a field that holds a message. */
function head(number: number, length: number): Uint8Array {
  const bytes = [(number << 3) | 2]
  let left = length
  for (; left > 127; left >>>= 7) bytes.push((left & 127) | 128)
  return Uint8Array.of(...bytes, left)
}

function* spansOf(body: Uint8Array): Generator<SpanField> {
  for (const resourceSpans of fields(body, 0, body.length)) {
    const inResource = [...fields(body, resourceSpans.valueAt, resourceSpans.end)]
    const resource = envelope(inResource)
    for (const scopeSpans of inResource) {
      if (scopeSpans.number !== 2) continue
      const inScope = [...fields(body, scopeSpans.valueAt, scopeSpans.end)]
      const scope = envelope(inScope)
      for (const span of inScope) if (span.number === 2) yield { ...span, resource, scope }
    }
  }
}

function envelope(all: readonly Field[]): Envelope {
  const own = all.filter(({ number }) => number !== 2)
  return { own, ownBytes: own.reduce((sum, { start, end }) => sum + end - start, 0) }
}

function traceIdOf(body: Uint8Array, span: Field): string {
  for (const { number, valueAt, end } of fields(body, span.valueAt, span.end)) {
    if (number !== 1) continue
    return Array.from(body.subarray(valueAt, end), (byte) => byte.toString(16).padStart(2, '0')).join('')
  }
  return ''
}

/** The fields of a message. What our encoder writes ends where it should, and has no groups. */
function* fields(bytes: Uint8Array, from: number, to: number): Generator<Field> {
  let at = from
  const varint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number
      if (shift < 32) value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
  }
  while (at < to) {
    const start = at
    const tag = varint()
    const wireType = tag & 7
    let valueAt = at
    if (wireType === 2) {
      const length = varint()
      valueAt = at
      at += length
    } else if (wireType === 0) varint()
    else at += wireType === 1 ? 8 : 4
    yield { number: tag >>> 3, start, valueAt, end: at }
  }
}
