import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayHoldNaN, type Piece, Slab } from '../../src/otlp/pieces.ts'
import { Writer } from '../../src/otlp/writer.ts'

function bytesOf({ view, start, length }: Piece): Uint8Array {
  return new Uint8Array(view.buffer, start, length)
}

/** What a writer makes of the piece, in each way in which it writes, one after the other. */
function written(piece: Piece): Uint8Array {
  const writer = new Writer(16)
  const middle = piece.length >> 1
  writer.piece(piece)
  writer.piece(piece, 0, middle)
  writer.piece(piece, middle)
  writer.words(piece.view, piece.start, piece.length, true)
  return writer.bytes.subarray(0, writer.at)
}

/** Bytes of which eight in a row may be a double that is not a number: eleven of its bits are set. */
const anyBytes = fc
  .array(
    fc.oneof(
      { weight: 1, arbitrary: fc.constantFrom(0x7f, 0xff, 0xf0, 0xf7, 0xef) },
      { weight: 20, arbitrary: fc.nat(255) },
    ),
    { minLength: 12, maxLength: 60 },
  )
  .map((bytes) => Uint8Array.from(bytes))

function doubleOf(...bytes: number[]): number {
  return new DataView(Uint8Array.from(bytes).buffer).getFloat64(0, true)
}

describe('copying by doubles, which need not keep one that is not a number', () => {
  it('is ruled out exactly where two neighbours may be the end of one', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const pairs = Array.from(bytes.subarray(1), (last, i) => [bytes[i] as number, last] as const)
        const isNaNPossible = pairs.some((pair) => Number.isNaN(doubleOf(1, 0, 0, 0, 0, 0, ...pair)))
        expect(mayHoldNaN(bytes)).toBe(isNaNPossible)
      }),
      { numRuns: 1000 },
    )
  })

  it('is possible for all text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
        expect(mayHoldNaN(new TextEncoder().encode(text))).toBe(false)
      }),
      { numRuns: 1000 },
    )
  })

  it('is not used for what may be one', () => {
    const read: number[] = []
    function watched(view: DataView): DataView {
      const getFloat64 = (at: number, isLittle?: boolean): number => {
        const double = view.getFloat64(at, isLittle)
        read.push(double)
        return double
      }
      return Object.assign(new DataView(view.buffer), { getFloat64 })
    }
    fc.assert(
      fc.property(anyBytes, fc.nat(60), fc.nat(60), (bytes, one, other) => {
        const piece = new Slab().add(bytes, 0, bytes.length)
        const [from, to] = [one, other].map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b)
        const writer = new Writer()
        writer.words(watched(piece.view), piece.start + from, to - from, piece.mayHoldNaN)
        expect([...writer.bytes.subarray(0, writer.at)]).toEqual([...bytes.subarray(from, to)])
      }),
      { numRuns: 1000 },
    )
    expect(read.length).toBeGreaterThan(100)
    expect(read.some(Number.isNaN)).toBe(false)
  })
})

describe('a slab', () => {
  it('keeps what it is given, whatever comes later and however long it is', () => {
    const length = fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      // Around the end of a slab.
      fc.integer({ min: 4000, max: 4200 }),
      fc.integer({ min: 8180, max: 8200 }),
    )
    fc.assert(
      fc.property(fc.array(length, { maxLength: 30 }), (lengths) => {
        const slab = new Slab()
        const kept = lengths.map((size, i) => {
          const source = Uint8Array.from({ length: size + 2 }, (_, at) => i * 7 + at)
          const piece = slab.add(source, 1, size + 1)
          const bytes = Buffer.from(source.subarray(1, size + 1))
          source.fill(0)
          return { piece, bytes }
        })
        for (const { piece, bytes } of kept) {
          expect(piece.length).toBe(bytes.length)
          expect(bytes.equals(bytesOf(piece))).toBe(true)
          expect(Buffer.concat([bytes, bytes, bytes]).equals(written(piece))).toBe(true)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('has a piece take the place of one that is no shorter, and leaves the others alone', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, fc.nat(20), (before, after, at) => {
        const slab = new Slab()
        const neighbours = [slab.add(after, 0, after.length)]
        const piece = slab.add(before, 0, before.length)
        neighbours.push(slab.add(after, 0, after.length))
        const source = Uint8Array.from([...new Uint8Array(at), ...after, 1, 2, 3])
        const taken = piece.overwritten(source, at, at + after.length)
        expect(taken === undefined).toBe(after.length > before.length)
        for (const kept of taken ? [...neighbours, taken] : neighbours) {
          expect([...bytesOf(kept)]).toEqual([...after])
          expect([...written(kept)]).toEqual([...after, ...after, ...after])
        }
        expect(taken?.start ?? piece.start).toBe(piece.start)
        expect(taken?.mayHoldNaN ?? mayHoldNaN(after)).toBe(mayHoldNaN(after))
        if (taken === undefined) expect([...bytesOf(piece)]).toEqual([...before])
      }),
      { numRuns: 500 },
    )
  })

  it('puts small pieces into the same memory', () => {
    const slab = new Slab()
    const pieces = Array.from({ length: 100 }, () => slab.add(new Uint8Array(50), 0, 50))
    expect(new Set(pieces.map(({ view }) => view.buffer)).size).toBe(1)
  })
})
