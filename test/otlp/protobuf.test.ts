import { expect, it } from 'vitest'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import { describeEncoder } from '../helpers/encoder-contract.ts'
import { decodeProtobuf, spanFields } from '../helpers/otlp-schema.ts'
import { RecordCollector } from '../helpers/records.ts'
import { handMadeSpan } from '../helpers/spans.ts'

describeEncoder(() => new ProtobufEncoder(), decodeProtobuf)

it('B45: the official schema knows the flags of a span', () => {
  expect(spanFields).toContain('flags')
})

it('B42: a record is a whole field of ScopeSpans, tag and length included', () => {
  for (const text of ['', 'x'.repeat(200), 'x'.repeat(20_000), 'x'.repeat(3_000_000)]) {
    const records = new RecordCollector()
    new ProtobufEncoder().encode(handMadeSpan({ attributes: { text } }), records)
    const { buffers, lengths } = records.table()
    const bytes = buffers[0]!
    expect(bytes[0]).toBe(0x12)
    let length = 0
    let at = 1
    for (let shift = 0; ; shift += 7) {
      length |= (bytes[at]! & 0x7f) << shift
      if (bytes[at++]! < 0x80) break
    }
    expect(at + length).toBe(lengths[0])
  }
})
