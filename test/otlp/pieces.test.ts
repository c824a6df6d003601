import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Piece, Slab } from '../../src/otlp/pieces.ts'
import { Writer } from '../../src/otlp/writer.ts'

/** What a writer makes of the piece, in both ways in which it writes, one after the other. */
function written(piece: Piece): Uint8Array {
  const writer = new Writer(16)
  writer.piece(piece)
  writer.words(piece.view, piece.start, piece.end)
  return writer.bytes.subarray(0, writer.at)
}

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
          expect(bytes.equals(piece.bytes)).toBe(true)
          expect(Buffer.concat([bytes, bytes]).equals(written(piece))).toBe(true)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('puts small pieces into the same memory', () => {
    const slab = new Slab()
    const pieces = Array.from({ length: 100 }, () => slab.add(new Uint8Array(50), 0, 50))
    expect(new Set(pieces.map(({ memory }) => memory)).size).toBe(1)
  })
})
