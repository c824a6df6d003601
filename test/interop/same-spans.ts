/** Compares what a receiver has with what was sent, field by field. */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import type { ReadableSpan } from '../../src/types.ts'
import { expectedRequest } from '../helpers/expected-otlp.ts'
import type { OtlpRequest, OtlpResourceSpans, OtlpScopeSpans, OtlpSpan } from '../helpers/otlp-schema.ts'

/** A span with everything that is said about it. */
interface PlacedSpan {
  readonly resource: OtlpResourceSpans['resource']
  readonly resourceSchemaUrl: string
  readonly scope: OtlpScopeSpans['scope']
  readonly scopeSchemaUrl: string
  readonly span: OtlpSpan
}

/** The spans of requests, each with its resource and scope. */
export function placedSpans(requests: OtlpRequest[]): PlacedSpan[] {
  return requests.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ resource, schemaUrl: resourceSchemaUrl, scopeSpans }) =>
      scopeSpans.flatMap(({ scope, schemaUrl: scopeSchemaUrl, spans }) =>
        spans.map((span) => ({ resource, resourceSchemaUrl, scope, scopeSchemaUrl, span })),
      ),
    ),
  )
}

/** Asserts that `requests` hold exactly the spans that were sent, each once, with every field as it was. */
export function expectSameSpans(requests: OtlpRequest[], sent: readonly ReadableSpan[]): void {
  const arrived = new Map<string, PlacedSpan>()
  const twice: string[] = []
  for (const placed of placedSpans(requests)) {
    const id = idOf(placed)
    if (arrived.has(id)) twice.push(id)
    arrived.set(id, placed)
  }
  const expected = new Map(
    sent.flatMap((span) => placedSpans([expectedRequest([span])])).map((span) => [idOf(span), span]),
  )
  expect(expected.size, 'different spans that were sent').toBe(sent.length)
  const missing = [...expected.keys()].filter((id) => !arrived.has(id))
  const strange = [...arrived.keys()].filter((id) => !expected.has(id))
  expect({ missing, twice, strange }).toEqual({ missing: [], twice: [], strange: [] })
  for (const [id, span] of expected) {
    // The assertion takes its time over ten thousand spans, and has something to say only about one that differs.
    if (!isDeepStrictEqual(arrived.get(id), span)) expect(arrived.get(id)).toEqual(span)
  }
}

function idOf({ span }: PlacedSpan): string {
  return `${span.traceId}/${span.spanId}`
}
