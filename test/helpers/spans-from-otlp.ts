/** Reads OTLP JSON back into spans as the SDK hands them over: the way from a public sample to our own input types. */
import { type Attributes, createTraceState, type HrTime, type SpanContext } from '@opentelemetry/api'
import type { InstrumentationScope, ReadableSpan, Resource } from '../../src/types.ts'

/** OTLP JSON as others write it: anything that is empty or 0 may be left out, 64-bit integers may be numbers. */
interface SampleRequest {
  resourceSpans: SampleResourceSpans[]
}

interface SampleResourceSpans {
  resource?: { attributes?: SampleAttribute[] }
  schemaUrl?: string
  scopeSpans: SampleScopeSpans[]
}

interface SampleScopeSpans {
  scope?: { name?: string; version?: string; attributes?: SampleAttribute[] }
  schemaUrl?: string
  spans: SampleSpan[]
}

interface SampleSpan extends SampleContext {
  parentSpanId?: string
  name?: string
  kind?: number
  startTimeUnixNano: string | number
  endTimeUnixNano: string | number
  attributes?: SampleAttribute[]
  droppedAttributesCount?: number
  events?: {
    timeUnixNano: string | number
    name: string
    attributes?: SampleAttribute[]
    droppedAttributesCount?: number
  }[]
  droppedEventsCount?: number
  links?: (SampleContext & { attributes?: SampleAttribute[]; droppedAttributesCount?: number })[]
  droppedLinksCount?: number
  status?: { code?: number; message?: string }
}

interface SampleContext {
  traceId: string
  spanId: string
  traceState?: string
  flags?: number
}

interface SampleAttribute {
  key: string
  value: SampleValue
}

interface SampleValue {
  stringValue?: string
  boolValue?: boolean
  intValue?: string | number
  doubleValue?: number
  bytesValue?: string
  arrayValue?: { values?: SampleValue[] }
  kvlistValue?: { values?: SampleAttribute[] }
}

const IS_REMOTE = 0x200

/** The spans of a request in OTLP JSON. Spans of one scope share its object, as an SDK's do. */
export function spansFromOtlp(text: string): ReadableSpan[] {
  const { resourceSpans } = JSON.parse(text) as SampleRequest
  return resourceSpans.flatMap((ofResource) => {
    const resource: Resource = {
      attributes: attributesOf(ofResource.resource?.attributes),
      schemaUrl: ofResource.schemaUrl,
    }
    return ofResource.scopeSpans.flatMap((ofScope) => {
      const scope: InstrumentationScope = {
        name: ofScope.scope?.name ?? '',
        version: ofScope.scope?.version,
        schemaUrl: ofScope.schemaUrl,
        attributes: attributesOf(ofScope.scope?.attributes),
      }
      return ofScope.spans.map((span) => spanOf(span, resource, scope))
    })
  })
}

function spanOf(span: SampleSpan, resource: Resource, scope: InstrumentationScope): ReadableSpan {
  const { parentSpanId, traceId, flags = 0 } = span
  const context = contextOf(span)
  const parent = { traceId, spanId: parentSpanId ?? '', traceFlags: 0, isRemote: (flags & IS_REMOTE) !== 0 }
  return {
    name: span.name ?? '',
    // OTLP counts from 1: 0 is "unspecified", which the API does not have.
    kind: (span.kind ?? 0) - 1,
    spanContext: () => context,
    parentSpanContext: parentSpanId ? parent : undefined,
    startTime: timeOf(span.startTimeUnixNano),
    endTime: timeOf(span.endTimeUnixNano),
    duration: [0, 0],
    ended: true,
    status: { code: span.status?.code ?? 0, ...(span.status?.message && { message: span.status.message }) },
    attributes: attributesOf(span.attributes),
    links: (span.links ?? []).map((link) => ({
      context: contextOf(link),
      attributes: attributesOf(link.attributes),
      droppedAttributesCount: link.droppedAttributesCount ?? 0,
    })),
    events: (span.events ?? []).map(({ timeUnixNano, name, attributes, droppedAttributesCount }) => ({
      time: timeOf(timeUnixNano),
      name,
      attributes: attributesOf(attributes),
      droppedAttributesCount,
    })),
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: span.droppedAttributesCount ?? 0,
    droppedEventsCount: span.droppedEventsCount ?? 0,
    droppedLinksCount: span.droppedLinksCount ?? 0,
  }
}

function contextOf({ traceId, spanId, traceState, flags = 0 }: SampleContext): SpanContext {
  return {
    traceId,
    spanId,
    traceFlags: flags & 0xff,
    isRemote: (flags & IS_REMOTE) !== 0,
    ...(traceState && { traceState: createTraceState(traceState) }),
  }
}

function timeOf(nanoseconds: string | number): HrTime {
  const time = BigInt(nanoseconds)
  return [Number(time / 1_000_000_000n), Number(time % 1_000_000_000n)]
}

function attributesOf(attributes: SampleAttribute[] | undefined): Attributes {
  const entries = (attributes ?? []).map(({ key, value }) => [key, plainOf(value)])
  return Object.fromEntries(entries) as Attributes
}

function plainOf(value: SampleValue): unknown {
  if (value.intValue !== undefined) return BigInt(value.intValue)
  if (value.bytesValue !== undefined) return new Uint8Array(Buffer.from(value.bytesValue, 'base64'))
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plainOf)
  if (value.kvlistValue !== undefined) return attributesOf(value.kvlistValue.values)
  return value.stringValue ?? value.boolValue ?? value.doubleValue
}
