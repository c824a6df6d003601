import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Arena } from '../../src/pipeline/arena.ts'
import type { Batch } from '../../src/pipeline/queue.ts'
import type { EncodedBatch } from '../../src/types.ts'
import { NameEncoder } from '../helpers/name-encoder.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { namesOfBatch, OpenDoor } from '../helpers/queues.ts'

function openArena(spans: string[]): Arena {
  const arena = new Arena(new NameEncoder(), new OpenDoor())
  for (const name of spans) arena.offer(spanNamed(name))
  return arena
}

/** Sent, by an exporter that counts `readers` attempts that may still be at it. */
function send(batch: Batch<EncodedBatch>, readers: number | undefined): ArrayBufferLike {
  if (readers !== undefined) batch.payload.readers = readers
  return batch.payload.body.buffer
}

describe('the memory of a request body', () => {
  it('is used again when the batch is settled and nobody reads it any more', () => {
    const arena = openArena(names(30))
    const first = arena.take(10, Infinity)!
    const memory = send(first, 0)
    first.release()
    const second = arena.take(8, Infinity)!
    expect(second.payload.body.buffer).toBe(memory)
    expect(namesOfBatch(second)).toEqual(names(30).slice(10, 18))
    expect(arena.take(8, Infinity)!.payload.body.buffer).not.toBe(memory)
  })

  it.each([
    ['an attempt may still be reading it', 1],
    ['the sender does not say who is reading it', undefined],
  ])('is left alone where %s', (_why, readers) => {
    const arena = openArena(names(20))
    const first = arena.take(10, Infinity)!
    const memory = send(first, readers)
    first.release()
    expect(arena.take(8, Infinity)!.payload.body.buffer).not.toBe(memory)
    expect(namesOfBatch(first)).toEqual(names(10))
  })

  it('is left alone when the batch was cut: the halves lie in it', () => {
    const arena = openArena(names(30))
    const whole = arena.take(10, Infinity)!
    const memory = send(whole, 0)
    const [first, second] = whole.split()
    expect(namesOfBatch(first)).toEqual(names(5))
    send(first, 0)
    first.release()
    const other = arena.take(8, Infinity)!
    expect(other.payload.body.buffer).not.toBe(memory)
    expect(namesOfBatch(second)).toEqual(names(10).slice(5))
  })

  it('is given back once, however often the batch is released', () => {
    const arena = openArena(names(30))
    const first = arena.take(10, Infinity)!
    send(first, 0)
    first.release()
    const second = arena.take(8, Infinity)!
    first.release()
    arena.take(8, Infinity)
    expect(namesOfBatch(second)).toEqual(names(30).slice(10, 18))
  })

  it('is new where the old one is too small, and is not kept above 1 MiB', () => {
    const large = 'x'.repeat(2 ** 20)
    const arena = openArena(['small', 'y'.repeat(1000), large, 'after'])
    const sizes = [1, 1, 1, 1].map(() => {
      const batch = arena.take(1, Infinity)!
      const memory = send(batch, 0)
      batch.release()
      return { memory, length: batch.payload.body.length }
    })
    expect(new Set(sizes.map(({ memory }) => memory)).size).toBe(4)
    expect(sizes.map(({ length }) => length)).toEqual([6, 1001, large.length + 1, 6])
  })

  it('never belongs to two batches, whatever happens', () => {
    const operation = fc.record({
      does: fc.constantFrom('offer', 'take', 'settle', 'lose', 'split', 'dropOldest'),
      at: fc.nat(),
      count: fc.integer({ min: 1, max: 8 }),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const arena = openArena([])
        let held: { batch: Batch<EncodedBatch>; names: string[] }[] = []
        const waiting: string[] = []
        let next = 0
        for (const { does, at, count } of operations) {
          const chosen = held[at % Math.max(1, held.length)]
          if (does === 'offer') {
            for (let i = 0; i < count; i++) {
              waiting.push(`${next++}`.repeat(1 + (at % 40)))
              arena.offer(spanNamed(waiting.at(-1)!))
            }
          } else if (does === 'take') {
            const batch = arena.take(count, Infinity)
            if (batch) held.push({ batch, names: waiting.splice(0, batch.count) })
          } else if (chosen) {
            const { batch } = chosen
            if (does === 'dropOldest') {
              if (batch.count === 1) continue
              batch.dropOldest()
              chosen.names.shift()
            } else {
              held = held.filter((other) => other !== chosen)
              if (does === 'split' && batch.count > 1) {
                send(batch, 0)
                const middle = batch.count >> 1
                const [first, second] = batch.split()
                held.push({ batch: first, names: chosen.names.slice(0, middle) })
                held.push({ batch: second, names: chosen.names.slice(middle) })
              } else {
                send(batch, does === 'lose' ? 1 : 0)
                batch.release()
                // Whoever still reads a batch that was given up finds it as it was.
                if (does === 'lose') held.push(chosen)
              }
            }
          }
          for (const { batch, names } of held) expect(namesOfBatch(batch)).toEqual(names)
        }
      }),
      { numRuns: 300 },
    )
  })
})
