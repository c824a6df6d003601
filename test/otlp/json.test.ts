import fc from 'fast-check'
import { expect, it } from 'vitest'
import { JsonEncoder } from '../../src/otlp/json.ts'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { describeEncoder } from '../helpers/encoder-contract.ts'
import { decodeJson, decodeProtobuf } from '../helpers/otlp-schema.ts'
import { encodeAll } from '../helpers/records.ts'
import { handMadeSpan, sdkSpans, spans, TRACE_ID } from '../helpers/spans.ts'

describeEncoder(() => new JsonEncoder(), decodeJson)

function textOf(...batch: ReadableSpan[]): string {
  return new TextDecoder().decode(encodeAll(new JsonEncoder(), batch))
}

it('B42: JSON and protobuf say the same', () => {
  fc.assert(
    fc.property(fc.array(spans, { maxLength: 4 }), (batch) => {
      const json = decodeJson(encodeAll(new JsonEncoder(), batch))
      expect(json).toEqual(decodeProtobuf(encodeAll(new ProtobufEncoder(), batch)))
    }),
  )
  const batch = sdkSpans(20)
  expect(decodeJson(encodeAll(new JsonEncoder(), batch))).toEqual(
    decodeProtobuf(encodeAll(new ProtobufEncoder(), batch)),
  )
})

it('B42: ids are hexadecimal, times and integers decimal strings, enumerations numbers, names lowerCamelCase', () => {
  const span = handMadeSpan({
    attributes: { count: 7, share: 0.5, ok: true, bytes: Uint8Array.of(251, 255) },
  })
  expect(JSON.parse(textOf(span)).resourceSpans[0].scopeSpans[0].spans[0]).toEqual({
    traceId: TRACE_ID,
    spanId: '00f067aa0ba902b7',
    parentSpanId: '53995c3f42cd8ad8',
    flags: 257,
    name: 'GET /orders/:id',
    kind: 2,
    startTimeUnixNano: '1760000000123456789',
    endTimeUnixNano: '1760000000987654321',
    attributes: [
      { key: 'count', value: { intValue: '7' } },
      { key: 'share', value: { doubleValue: 0.5 } },
      { key: 'ok', value: { boolValue: true } },
      { key: 'bytes', value: { bytesValue: '+/8=' } },
    ],
  })
})

it('B43: doubles that JSON has no number for are strings', () => {
  const text = textOf(handMadeSpan({ attributes: { a: Number.NaN, b: Infinity, c: -Infinity, d: -0 } }))
  expect(text).toContain('{"doubleValue":"NaN"}')
  expect(text).toContain('{"doubleValue":"Infinity"}')
  expect(text).toContain('{"doubleValue":"-Infinity"}')
  expect(text).toContain('{"doubleValue":-0}')
})

it('B62: a request is one line, whatever is in it', () => {
  const text = textOf(handMadeSpan({ name: 'a\nb\r\u2028', attributes: { 'k\n': 'v\n'.repeat(60) } }))
  expect(text).not.toMatch(/[\n\r]/)
  expect(text.startsWith('{"resourceSpans":[{"resource":{')).toBe(true)
  expect(text.endsWith(']}]}]}')).toBe(true)
})
