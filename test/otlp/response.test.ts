import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPartialSuccess } from '../../src/otlp/response.ts'
import { partialSuccessBytes } from '../helpers/misbehaviours.ts'

const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json; charset=utf-8'
const SPANS = 10

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** A response whose `partial_success` consists of these bytes. */
function protobuf(...fields: number[]): Uint8Array {
  return Uint8Array.from([0x0a, fields.length, ...fields])
}

describe('readPartialSuccess', () => {
  it('B36: reads rejected spans and the message from protobuf', () => {
    expect(readPartialSuccess(partialSuccessBytes(3, 'too old'), PROTOBUF, SPANS)).toEqual({
      rejected: 3,
      message: 'too old',
    })
  })

  it.each([3, '3'])('B36: reads rejected spans as %o and the message from JSON', (rejectedSpans) => {
    const body = json({ partialSuccess: { rejectedSpans, errorMessage: 'too old' } })
    expect(readPartialSuccess(body, JSON_TYPE, SPANS)).toEqual({ rejected: 3, message: 'too old' })
  })

  it('B36: a message without rejected spans comes through', () => {
    const body = json({ partialSuccess: { errorMessage: 'slow down' } })
    expect(readPartialSuccess(body, JSON_TYPE, SPANS)).toEqual({ rejected: 0, message: 'slow down' })
    const bytes = protobuf(0x12, 4, ...Buffer.from('slow'))
    expect(readPartialSuccess(bytes, PROTOBUF, SPANS)).toEqual({ rejected: 0, message: 'slow' })
  })

  it.each([
    [11, 10],
    [1e300, 10],
    ['99999999999999999999', 10],
    [-1, 0],
    ['-1', 0],
    [2.5, 2],
    ['many', 0],
    [true, 0],
    [[5], 0],
    [null, 0],
    [{}, 0],
  ])('B36: %o rejected of 10 in JSON counts as %d', (rejectedSpans, rejected) => {
    const body = json({ partialSuccess: { rejectedSpans } })
    expect(readPartialSuccess(body, JSON_TYPE, SPANS)).toEqual({ rejected })
  })

  it.each([
    ['300', [0x08, 0xac, 0x02], 10],
    ['2^63 - 1', [0x08, ...Array(8).fill(0xff), 0x7f], 10],
    ['-1', [0x08, ...Array(9).fill(0xff), 0x01], 0],
    ['a number of eleven bytes', [0x08, ...Array(10).fill(0xff), 0x01], 0],
    ['a message instead', [0x0a, 0x01, 0x05], 0],
    ['nothing', [], 0],
    [
      '2 after unknown fields',
      [0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x2a, 1, 9, 0x30, 1, 0x08, 2],
      2,
    ],
    ['a group', [0x0b, 0x08, 2], 0],
  ])('B36: %s in protobuf counts as such', (_what, fields, rejected) => {
    expect(readPartialSuccess(protobuf(...fields), PROTOBUF, SPANS)).toEqual({ rejected })
  })

  it.each([
    ['an empty body', new Uint8Array(), PROTOBUF],
    ['an empty body', new Uint8Array(), JSON_TYPE],
    ['JSON that is none', Buffer.from('<html>'), JSON_TYPE],
    ['JSON null', Buffer.from('null'), JSON_TYPE],
    ['the receiver of Elastic', Buffer.from('{"ok":1}'), JSON_TYPE],
    ['an HTML page', partialSuccessBytes(3, 'no'), 'text/html'],
    ['no type', partialSuccessBytes(3, 'no'), ''],
  ])('B36: %s is a success', (_what, body, contentType) => {
    expect(readPartialSuccess(body, contentType, SPANS)).toEqual({ rejected: 0 })
  })

  it('B36: a truncated response is a success', () => {
    const whole = partialSuccessBytes(3, 'too old')
    for (let end = 0; end < whole.length; end++) {
      expect(readPartialSuccess(whole.subarray(0, end), PROTOBUF, SPANS)).toEqual({ rejected: 0 })
    }
  })

  it('B36: no bytes whatsoever make it throw, or count more spans than were sent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(PROTOBUF, JSON_TYPE), (bytes, type) => {
        const { rejected } = readPartialSuccess(bytes, type, SPANS)
        expect(rejected).toBeGreaterThanOrEqual(0)
        expect(rejected).toBeLessThanOrEqual(SPANS)
        expect(readPartialSuccess(protobuf(...bytes), type, SPANS).rejected).toBeLessThanOrEqual(SPANS)
      }),
    )
  })

  it('B59: messages are one short line without control characters', () => {
    const errorMessage = `\u001b[31mred\r\nINFO forged\u2028\u202E${'x'.repeat(1000)}`
    const { message } = readPartialSuccess(json({ partialSuccess: { errorMessage } }), JSON_TYPE, SPANS)
    expect(message).toMatch(/^\[31mred INFO forged x+$/)
    expect(message!.length).toBeLessThanOrEqual(256)
  })
})
