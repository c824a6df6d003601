/** What a span should become, told without looking at how the encoders do it. */
import type { Attributes, HrTime } from '@opentelemetry/api'
import type { InstrumentationScope, ReadableSpan, Resource } from '../../src/types.ts'
import type { OtlpAttribute, OtlpRequest, OtlpSpan, OtlpValue } from './otlp-schema.ts'

/** Lone surrogates become U+FFFD. */
function text(value: string): string {
  return Buffer.from(value, 'utf8').toString('utf8')
}

function expectedValue(value: unknown): OtlpValue {
  if (typeof value === 'string') return { stringValue: text(value) }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || Object.is(value, -0)) return { doubleValue: value }
    const integer = BigInt(value)
    return integer === BigInt.asIntN(64, integer) ? { intValue: String(integer) } : { doubleValue: value }
  }
  if (typeof value === 'bigint') {
    return value === BigInt.asIntN(64, value) ? { intValue: String(value) } : { stringValue: String(value) }
  }
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return { arrayValue: { values: Array.from(value, expectedValue) } }
  if (typeof value === 'object' && value !== null) {
    return { kvlistValue: { values: expectedAttributes(value as Attributes) } }
  }
  return {}
}

export function expectedAttributes(attributes: Attributes | undefined): OtlpAttribute[] {
  return Object.entries(attributes ?? {}).map(([key, value]) => ({
    key: text(key),
    value: expectedValue(value),
  }))
}

function nanoseconds([seconds, nanos]: HrTime): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos))
}

function flags(traceFlags: number, isRemote: boolean | undefined): number {
  return (traceFlags % 256) + 256 + (isRemote ? 512 : 0)
}

export function expectedSpan(span: ReadableSpan): OtlpSpan {
  const context = span.spanContext()
  return {
    traceId: context.traceId.toLowerCase(),
    spanId: context.spanId.toLowerCase(),
    traceState: text(context.traceState?.serialize() ?? ''),
    parentSpanId: (span.parentSpanContext?.spanId ?? span.parentSpanId ?? '')
      .replace(/^0+$/, '')
      .toLowerCase(),
    flags: flags(context.traceFlags, span.parentSpanContext?.isRemote),
    name: text(span.name),
    kind: span.kind + 1,
    startTimeUnixNano: nanoseconds(span.startTime),
    endTimeUnixNano: nanoseconds(span.endTime),
    attributes: expectedAttributes(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events.map((event) => ({
      timeUnixNano: nanoseconds(event.time),
      name: text(event.name),
      attributes: expectedAttributes(event.attributes),
      droppedAttributesCount: event.droppedAttributesCount ?? 0,
    })),
    droppedEventsCount: span.droppedEventsCount,
    links: span.links.map((link) => ({
      traceId: link.context.traceId.toLowerCase(),
      spanId: link.context.spanId.toLowerCase(),
      traceState: text(link.context.traceState?.serialize() ?? ''),
      attributes: expectedAttributes(link.attributes),
      droppedAttributesCount: link.droppedAttributesCount ?? 0,
      flags: flags(link.context.traceFlags, link.context.isRemote),
    })),
    droppedLinksCount: span.droppedLinksCount,
    status: { code: span.status.code, message: text(span.status.message ?? '') },
  }
}

/** The request of spans that are grouped by what their resources and scopes say. */
export function expectedRequest(spans: ReadableSpan[]): OtlpRequest {
  const request: OtlpRequest = { resourceSpans: [] }
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
  for (const span of spans) {
    const { resource: resourceOf } = span
    const scopeOf = (span.instrumentationScope ?? span.instrumentationLibrary) as InstrumentationScope
    const resource = expectedResource(resourceOf)
    let resourceSpans = request.resourceSpans.find(
      (other) => same(other.resource, resource.resource) && other.schemaUrl === resource.schemaUrl,
    )
    if (!resourceSpans) {
      resourceSpans = { ...resource, scopeSpans: [] }
      request.resourceSpans.push(resourceSpans)
    }
    const scope = {
      name: text(scopeOf.name),
      version: text(scopeOf.version ?? ''),
      attributes: expectedAttributes(scopeOf.attributes),
    }
    const schemaUrl = text(scopeOf.schemaUrl ?? '')
    let scopeSpans = resourceSpans.scopeSpans.find(
      (other) => same(other.scope, scope) && other.schemaUrl === schemaUrl,
    )
    if (!scopeSpans) {
      scopeSpans = { scope, schemaUrl, spans: [] }
      resourceSpans.scopeSpans.push(scopeSpans)
    }
    scopeSpans.spans.push(expectedSpan(span))
  }
  return request
}

function expectedResource(resource: Resource) {
  return {
    resource: { attributes: expectedAttributes(resource.attributes) },
    schemaUrl: text(resource.schemaUrl ?? ''),
  }
}
