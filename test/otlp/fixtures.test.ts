/** OTLP JSON that others published, read into spans and encoded: what comes out is what went in. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { JsonEncoder } from '../../src/otlp/json.ts'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import { decodeJson, decodeProtobuf } from '../helpers/otlp-schema.ts'
import { encodeAll } from '../helpers/records.ts'
import { spansFromOtlp } from '../helpers/spans-from-otlp.ts'

const HAS_IS_REMOTE = 0x100

interface Sample {
  readonly name: string
  readonly text: string
  readonly spanCount: number
}

function read(file: string): string {
  return readFileSync(new URL(`fixtures/${file}`, import.meta.url), 'utf8')
}

const samples: Sample[] = [
  { name: "the specification's trace.json", text: read('opentelemetry-proto-trace.json'), spanCount: 1 },
  ...read('opentelemetry-specification-file-exporter.jsonl')
    .trimEnd()
    .split('\n')
    .map((text, index) => ({
      name: `line ${index + 1} of the specification's file exporter`,
      text,
      spanCount: 2,
    })),
  {
    name: 'what the Java SDK writes',
    text: read('opentelemetry-java-expected-spans-wrapper.json'),
    spanCount: 2,
  },
  { name: "telemetrygen's spans from Jaeger", text: read('jaeger-otlp2jaeger-in.json'), spanCount: 2 },
]

/** OTLP leaves the case of ids open. */
function idsInLowerCase(name: string, value: unknown): unknown {
  return /^(traceId|spanId|parentSpanId)$/.test(name) ? String(value).toLowerCase() : value
}

/**
 * A sample with what OTLP JSON says where protobuf's JSON leaves a choice: 64-bit integers are strings. And with the
 * flag that our encoder has to add, since it knows of every parent whether it is remote.
 */
function expectedOf(text: string): unknown {
  const sample = JSON.parse(text, (name, value) =>
    /^(\w+UnixNano|intValue)$/.test(name) ? String(value) : idsInLowerCase(name, value),
  )
  for (const { scopeSpans } of sample.resourceSpans) {
    for (const { spans } of scopeSpans) {
      for (const span of spans) {
        for (const flagged of [span, ...(span.links ?? [])])
          flagged.flags = (flagged.flags ?? 0) | HAS_IS_REMOTE
      }
    }
  }
  return sample
}

/** Without what protobuf's JSON may leave out: 0, and what is empty. */
function withoutDefaults(json: unknown): unknown {
  return JSON.parse(JSON.stringify(json), (_name, value) => {
    const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0
    return isEmpty || value === '' || value === 0 ? undefined : value
  })
}

describe.each(samples)('$name', ({ text, spanCount }) => {
  const spans = spansFromOtlp(text)

  it('has spans', () => {
    expect(spans).toHaveLength(spanCount)
  })

  it('B42: comes out of the JSON encoder as it is', () => {
    const encoded = new TextDecoder().decode(encodeAll(new JsonEncoder(), spans))
    expect(withoutDefaults(JSON.parse(encoded, idsInLowerCase))).toEqual(withoutDefaults(expectedOf(text)))
  })

  it('B42: comes out of the protobuf encoder as it is, decoded with the official schema', () => {
    const sample = decodeJson(new TextEncoder().encode(JSON.stringify(expectedOf(text))))
    expect(decodeProtobuf(encodeAll(new ProtobufEncoder(), spans))).toEqual(sample)
  })
})
