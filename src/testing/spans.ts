/** Spans as a backend has them, read from a request in protobuf or JSON. */
import type { Attributes, SpanKind, SpanStatus } from '@opentelemetry/api'
import { type Message, readProtobuf } from './protobuf.ts'

/** An event of a span. */
export interface CollectedEvent {
  readonly name: string
  readonly timeUnixNano: bigint
  readonly attributes: Attributes
}

/** A link of a span. */
export interface CollectedLink {
  readonly traceId: string
  readonly spanId: string
  readonly traceState: string
  readonly attributes: Attributes
}

/** A span as the collector received it. Ids are hexadecimal; integers beyond 2^53 are bigints. */
export interface CollectedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty for a root span. */
  readonly parentSpanId: string
  readonly traceState: string
  readonly flags: number
  readonly name: string
  /** As `SpanKind` of `@opentelemetry/api` numbers them. */
  readonly kind: SpanKind
  readonly startTimeUnixNano: bigint
  readonly endTimeUnixNano: bigint
  readonly attributes: Attributes
  readonly events: CollectedEvent[]
  readonly links: CollectedLink[]
  readonly status: SpanStatus
  readonly droppedAttributesCount: number
  readonly droppedEventsCount: number
  readonly droppedLinksCount: number
  readonly resource: { readonly attributes: Attributes; readonly schemaUrl: string }
  readonly scope: {
    readonly name: string
    readonly version: string
    readonly schemaUrl: string
    readonly attributes: Attributes
  }
}

/**
 * Reads the body of an OTLP request.
 * @throws Error on anything that is no request.
 */
export function readSpans(body: Uint8Array, contentType: string): CollectedSpan[] {
  if (/json/i.test(contentType)) return spansOf(JSON.parse(new TextDecoder().decode(body)))
  if (/protobuf/i.test(contentType)) return spansOf(readProtobuf(body))
  throw new Error(`no OTLP content type: ${contentType}`)
}

function spansOf(request: Message): CollectedSpan[] {
  return messages(request.resourceSpans).flatMap((resourceSpans) => {
    const resource = {
      attributes: attributes((resourceSpans.resource as Message | undefined)?.attributes),
      schemaUrl: text(resourceSpans.schemaUrl),
    }
    return messages(resourceSpans.scopeSpans).flatMap((scopeSpans) => {
      const scope = (scopeSpans.scope as Message | undefined) ?? {}
      const scopeOfSpans = {
        name: text(scope.name),
        version: text(scope.version),
        schemaUrl: text(scopeSpans.schemaUrl),
        attributes: attributes(scope.attributes),
      }
      return messages(scopeSpans.spans).map((span) => ({ ...spanOf(span), resource, scope: scopeOfSpans }))
    })
  })
}

function spanOf(span: Message): Omit<CollectedSpan, 'resource' | 'scope'> {
  const { code, message } = (span.status as Message | undefined) ?? {}
  return {
    traceId: id(span.traceId),
    spanId: id(span.spanId),
    parentSpanId: id(span.parentSpanId),
    traceState: text(span.traceState),
    flags: Number(span.flags ?? 0),
    name: text(span.name),
    // OTLP has one more, for "unspecified", at 0.
    kind: Math.max(0, Number(span.kind ?? 0) - 1),
    startTimeUnixNano: integer(span.startTimeUnixNano),
    endTimeUnixNano: integer(span.endTimeUnixNano),
    attributes: attributes(span.attributes),
    events: messages(span.events).map((event) => ({
      name: text(event.name),
      timeUnixNano: integer(event.timeUnixNano),
      attributes: attributes(event.attributes),
    })),
    links: messages(span.links).map((link) => ({
      traceId: id(link.traceId),
      spanId: id(link.spanId),
      traceState: text(link.traceState),
      attributes: attributes(link.attributes),
    })),
    status: { code: Number(code ?? 0), ...(message ? { message: text(message) } : {}) },
    droppedAttributesCount: Number(span.droppedAttributesCount ?? 0),
    droppedEventsCount: Number(span.droppedEventsCount ?? 0),
    droppedLinksCount: Number(span.droppedLinksCount ?? 0),
  }
}

function messages(value: unknown): Message[] {
  return (value as Message[] | undefined) ?? []
}

function text(value: unknown): string {
  return String(value ?? '')
}

function id(value: unknown): string {
  if (!(value instanceof Uint8Array)) return text(value).toLowerCase()
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** In JSON they are decimal strings, and some senders write numbers. */
function integer(value: unknown): bigint {
  return BigInt((value as bigint | string | number | undefined) ?? 0)
}

function attributes(value: unknown): Attributes {
  // A key like `__proto__` becomes a property of its own.
  return Object.fromEntries(
    messages(value).map((entry) => [text(entry.key), plain(entry.value)]),
  ) as Attributes
}

function plain(value: unknown): unknown {
  const [kind, content] = Object.entries((value as Message | undefined) ?? {})[0] ?? []
  if (kind === 'intValue') {
    const exact = integer(content)
    const number = Number(exact)
    return Number.isSafeInteger(number) ? number : exact
  }
  // JSON has no NaN and no infinities, so they come as strings.
  if (kind === 'doubleValue') return Number(content)
  if (kind === 'arrayValue') return messages((content as Message).values).map(plain)
  if (kind === 'kvlistValue') return attributes((content as Message).values)
  if (kind === 'bytesValue' && typeof content === 'string') {
    return Uint8Array.from(atob(content), (character) => character.charCodeAt(0))
  }
  return content ?? null
}
