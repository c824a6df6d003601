import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import { Arena } from '../../src/pipeline/arena.ts'
import type { ReadableSpan, RecordTable } from '../../src/types.ts'
import { expectedAttributes } from '../helpers/expected-otlp.ts'
import { namesOf } from '../helpers/gates.ts'
import { NameEncoder } from '../helpers/name-encoder.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { namesOfBatch, OpenDoor } from '../helpers/queues.ts'

const SEGMENT_BYTES = 64 * 1024
const HEADER_BYTES = 12

function openArena(encoder = new NameEncoder()) {
  const door = new OpenDoor()
  return { arena: new Arena(encoder, door), door }
}

const takeAll = (arena: Arena) => arena.take(Infinity, Infinity)

describe('the arena', () => {
  it('gives spans back in order, with their bytes and sequences', () => {
    const { arena } = openArena()
    expect(arena).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity })
    for (const name of names(10)) arena.offer(spanNamed(name))
    expect(arena).toMatchObject({ count: 10, bytes: 60, firstSequence: 0 })
    const batch = arena.take(4, Infinity)!
    expect(batch).toMatchObject({ count: 4, bytes: 24, firstSequence: 0 })
    expect(batch.payload).toMatchObject({ spanCount: 4 })
    expect(namesOfBatch(batch)).toEqual(names(4))
    expect(arena).toMatchObject({ count: 6, bytes: 36, firstSequence: 4 })
    expect(namesOfBatch(takeAll(arena)!)).toEqual(names(10).slice(4))
    expect(takeAll(arena)).toBeUndefined()
  })

  it('B16: cuts a batch exactly at maxBytes: one byte less is one span less', () => {
    for (const [maxBytes, expected] of [
      [18, 3],
      [17, 2],
      [6, 1],
      [5, 1],
    ] as const) {
      const { arena } = openArena()
      for (const name of names(5)) arena.offer(spanNamed(name))
      expect(arena.take(10, maxBytes)!.count).toBe(expected)
    }
  })

  it.each([-1, 0, 1])('keeps records whole around the end of a segment (%i bytes off)', (off) => {
    const { arena } = openArena()
    const first = 'a'.repeat(SEGMENT_BYTES - 2 * HEADER_BYTES - 10)
    const second = 'b'.repeat(10 + off)
    const spans = [first, second, 'ccc']
    for (const name of spans) arena.offer(spanNamed(name))
    expect(namesOfBatch(takeAll(arena)!)).toEqual(spans)
  })

  it.each([SEGMENT_BYTES - HEADER_BYTES, SEGMENT_BYTES - HEADER_BYTES + 1, 3 * SEGMENT_BYTES])(
    'takes a record of %i bytes',
    (length) => {
      const { arena } = openArena()
      const spans = ['before', 'x'.repeat(length), 'after', 'y'.repeat(length), 'z']
      for (let round = 0; round < 3; round++) {
        for (const name of spans) arena.offer(spanNamed(name))
        expect(namesOfBatch(arena.take(2, Infinity)!)).toEqual(spans.slice(0, 2))
        expect(namesOfBatch(takeAll(arena)!)).toEqual(spans.slice(2))
        expect(arena).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity })
      }
    },
  )

  it('drops the oldest across segments', () => {
    const { arena } = openArena()
    const spans = names(40).map((name) => name.padEnd(10_000, '.'))
    for (const name of spans) arena.offer(spanNamed(name))
    for (let i = 0; i < 25; i++) {
      expect(arena.firstSequence).toBe(i)
      arena.dropOldest()
    }
    expect(arena).toMatchObject({ count: 15, bytes: 150_000 })
    expect(namesOfBatch(takeAll(arena)!)).toEqual(spans.slice(25))
    arena.dropOldest()
    expect(arena.count).toBe(0)
  })

  it('counts by walking, up to a sequence', () => {
    const { arena } = openArena()
    for (const name of names(20)) arena.offer(spanNamed(name.padEnd(9_000)))
    arena.dropOldest()
    expect([-1, 0, 1, 10, 19, Infinity].map((sequence) => arena.countThrough(sequence))).toEqual([
      0, 0, 1, 10, 19, 19,
    ])
  })

  it('a span that is refused, or cannot be encoded, leaves it as it was', () => {
    const { arena, door } = openArena()
    arena.offer(spanNamed('a'))
    door.refuses = true
    arena.offer(spanNamed('b'))
    door.refuses = false
    const broken = spanNamed('c', {
      get name(): string {
        throw new Error('no name')
      },
    })
    expect(() => arena.offer(broken)).toThrow('no name')
    expect(arena).toMatchObject({ count: 1, bytes: 1 })
    expect(namesOfBatch(takeAll(arena)!)).toEqual(['a'])
  })

  it('a body that was taken is not touched by what comes later', () => {
    const { arena } = openArena()
    for (const name of names(100)) arena.offer(spanNamed(name))
    const batch = takeAll(arena)!
    for (const name of names(5_000, 'other-')) arena.offer(spanNamed(name))
    expect(namesOfBatch(batch)).toEqual(names(100))
  })
})

describe('a batch of records', () => {
  function batchOf(count: number) {
    const { arena } = openArena()
    for (const name of names(count)) arena.offer(spanNamed(name))
    return takeAll(arena)!
  }

  it('is split in the middle, and its halves again, with the right bytes', () => {
    const [first, second] = batchOf(7).split()
    expect(namesOfBatch(first)).toEqual(names(7).slice(0, 3))
    expect(namesOfBatch(second)).toEqual(names(7).slice(3))
    expect([first.bytes, second.bytes]).toEqual([18, 24])
    const [third, fourth] = second.split()
    expect([third, fourth].map(namesOfBatch)).toEqual([names(7).slice(3, 5), names(7).slice(5)])
    expect([first, third, fourth].map((piece) => piece.firstSequence)).toEqual([0, 3, 5])
  })

  it('is trimmed from the front, framed again, and split after that', () => {
    const batch = batchOf(6)
    batch.dropOldest()
    batch.dropOldest()
    expect(batch).toMatchObject({ count: 4, bytes: 24, firstSequence: 2 })
    expect(batch.countThrough(3)).toBe(2)
    expect(namesOfBatch(batch)).toEqual(names(6).slice(2))
    batch.dropOldest()
    expect(batch.split().map(namesOfBatch)).toEqual([['span-3'], ['span-4', 'span-5']])
  })

  it('can be given up to the last span', () => {
    const batch = batchOf(2)
    for (let i = 0; i < 3; i++) batch.dropOldest()
    expect(batch).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity })
    expect(batch.countThrough(Infinity)).toBe(0)
  })

  it('has one payload for all attempts, so that work on it can be kept', () => {
    const batch = batchOf(2)
    expect(batch.payload).toBe(batch.payload)
  })

  it('counts up to a sequence', () => {
    expect([-1, 0, 3, 4, Infinity].map((sequence) => batchOf(5).countThrough(sequence))).toEqual([
      0, 1, 4, 5, 5,
    ])
  })
})

describe('user code that runs while the arena works', () => {
  it('may end spans while another one is encoded', () => {
    const { arena } = openArena()
    const nested = spanNamed('outer', {
      get name() {
        arena.offer(spanNamed('inner-0'))
        arena.offer(spanNamed('inner-1'))
        return 'outer'
      },
    })
    arena.offer(nested)
    expect(namesOfBatch(takeAll(arena)!)).toEqual(['inner-0', 'inner-1', 'outer'])
  })

  it.each([1, 50, 2_000])('may end %i spans while a batch is framed', (count) => {
    const ended: string[] = []
    class Interrupted extends NameEncoder {
      isInterrupted = false

      override frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
        if (!this.isInterrupted) {
          this.isInterrupted = true
          for (const name of names(count, 'meanwhile-')) {
            const padded = name.padEnd(300, '.')
            arena.offer(spanNamed(padded))
            ended.push(padded)
          }
          this.isInterrupted = false
        }
        return super.frame(records, allocate)
      }
    }
    const encoder = new Interrupted()
    const { arena } = openArena(encoder)
    const first = names(600).map((name) => name.padEnd(300, '.'))
    for (const name of first) arena.offer(spanNamed(name))
    const batch = takeAll(arena)!
    encoder.isInterrupted = true
    expect(namesOfBatch(batch)).toEqual(first)
    expect(arena.count).toBe(count)
    expect(namesOfBatch(takeAll(arena)!)).toEqual(ended)
    arena.offer(spanNamed('usable'))
    expect(namesOfBatch(takeAll(arena)!)).toEqual(['usable'])
  })

  it('may push out all that waits, and more, while a batch is framed', () => {
    let isInterrupted = false
    class Pushing extends NameEncoder {
      override frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
        if (!isInterrupted) {
          isInterrupted = true
          while (arena.count > 0) arena.dropOldest()
          for (const name of later) arena.offer(spanNamed(name))
        }
        return super.frame(records, allocate)
      }
    }
    const { arena } = openArena(new Pushing())
    const first = names(600).map((name) => name.padEnd(300, '.'))
    const later = names(600, 'later-').map((name) => name.padEnd(300, '!'))
    for (const name of first) arena.offer(spanNamed(name))
    expect(namesOfBatch(arena.take(400, Infinity)!)).toEqual(first.slice(0, 400))
    expect(namesOfBatch(takeAll(arena)!)).toEqual(later)
  })

  it('may take a batch while another is framed', () => {
    const taken: string[][] = []
    class Nosy extends NameEncoder {
      override frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
        const other = arena.take(100, Infinity)
        if (other !== undefined) taken.push(namesOfBatch(other))
        return super.frame(records, allocate)
      }
    }
    const { arena } = openArena(new Nosy())
    for (const name of names(250)) arena.offer(spanNamed(name.padEnd(500, '.')))
    const outer = namesOfBatch(arena.take(100, Infinity)!)
    const all = [outer, ...taken.reverse()].flat()
    expect(all.map((name) => name.replaceAll('.', ''))).toEqual(names(250))
  })

  it('may take a batch and end spans while another is framed, which is whole and counted all the time', () => {
    let isInterrupted = false
    class Relieving extends NameEncoder {
      override frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
        if (!isInterrupted) {
          isInterrupted = true
          for (const name of names(3, 'second-')) arena.offer(spanNamed(name))
          expect(namesOfBatch(takeAll(arena)!)).toEqual(names(3, 'second-'))
          for (const name of names(3, 'third-')) arena.offer(spanNamed(name))
          expect(arena.countThrough(Infinity)).toBe(6)
          expect(arena).toMatchObject({ count: 3, firstSequence: 0, leavingBytes: 3 * 'first-0'.length })
        }
        return super.frame(records, allocate)
      }
    }
    const { arena } = openArena(new Relieving())
    for (const name of names(3, 'first-')) arena.offer(spanNamed(name))
    expect(namesOfBatch(takeAll(arena)!)).toEqual(names(3, 'first-'))
    expect(namesOfBatch(takeAll(arena)!)).toEqual(names(3, 'third-'))
    expect(arena).toMatchObject({ count: 0, leavingBytes: 0 })
  })
})

describe('a span that is written where it is to stay', () => {
  const rest = { first: 'a'.repeat(40), last: 'z'.repeat(300) }
  const outerSpan = (body: Uint8Array) =>
    decodeProtobuf(body)
      .resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
      .filter(({ name }) => name.startsWith('outer'))

  it.each<[string, (arena: Arena, offer: () => void) => void]>([
    ['others end', (_, offer) => [1, 2, 3].forEach(offer)],
    ['a batch leaves', (arena) => takeAll(arena)],
    ['a batch leaves and others end', (arena, offer) => [takeAll(arena), offer(), takeAll(arena), offer()]],
    [
      'the oldest are dropped',
      (arena) => {
        while (arena.count > 0) arena.dropOldest()
      },
    ],
    [
      'all are dropped and others end',
      (arena, offer) => {
        while (arena.count > 0) arena.dropOldest()
        for (let i = 0; i < 400; i++) offer()
      },
    ],
    ['the most important leave', (arena, offer) => [arena.takeFirst(2, 10_000), offer()]],
    [
      'the most important leave, again and again',
      (arena) => {
        for (let i = 0; i < 3; i++) arena.takeFirst(2, 10_000)
      },
    ],
    [
      'others fill segments',
      (_, offer) => {
        for (let i = 0; i < 2_000; i++) offer()
      },
    ],
  ])('B44: stays whole when meanwhile %s', (_, happen) => {
    const { arena } = openArena(new ProtobufEncoder() as unknown as NameEncoder)
    let ended = 0
    const offer = () => arena.offer(spanNamed(`inner ${ended++}`))
    // Beyond the first segment, which is too small to write in.
    for (let i = 0; i < 60; i++) arena.offer(spanNamed(`filler ${i}`))
    for (let i = 0; i < 20; i++) {
      const attributes = {
        first: rest.first,
        get lazy() {
          happen(arena, offer)
          return true
        },
        last: rest.last,
      }
      arena.offer(spanNamed(`outer ${i}`, { attributes }))
      for (let j = 0; j < 5; j++) offer()
      const { body } = arena.take(Infinity, Infinity)!.payload
      expect(namesOf(body).at(-6)).toBe(`outer ${i}`)
      expect(outerSpan(body)).toMatchObject([
        { attributes: expectedAttributes({ first: rest.first, lazy: true, last: rest.last }) },
      ])
    }
  })
})

describe('groups', () => {
  /** A span of its own scope. */
  function scoped(scope: number): ReadableSpan {
    return spanNamed(`span-${scope}`, { instrumentationScope: { name: `scope-${scope}` } })
  }

  it('that no span refers to are forgotten, those of waiting and of taken spans are kept', () => {
    const encoder = new ProtobufEncoder()
    const { arena } = openArena(encoder as unknown as NameEncoder)
    for (let i = 0; i < 3; i++) arena.offer(scoped(i))
    const taken = takeAll(arena)!
    for (let i = 10; i < 13; i++) arena.offer(scoped(i))
    const waiting = names(13).slice(10)
    for (let i = 100; i < 3_000; i++) {
      arena.offer(scoped(i))
      const all = arena.count
      if (all > 3) {
        // Only the newest goes: those that were there first go on waiting.
        const batch = takeAll(arena)!
        batch.release()
        for (let j = 10; j < 13; j++) arena.offer(scoped(j))
      }
    }
    expect(encoder.groupCount).toBeLessThan(1_100)
    expect(namesOf(takeAll(arena)!.payload.body)).toEqual(waiting)
    taken.dropOldest()
    expect(namesOf(taken.payload.body)).toEqual(['span-1', 'span-2'])
  })

  it('of a span that is still being encoded are not forgotten by spans that end meanwhile', () => {
    const encoder = new ProtobufEncoder()
    const { arena } = openArena(encoder as unknown as NameEncoder)
    const attributes = {
      get lazy() {
        for (let i = 0; i < 1_100; i++) arena.offer(scoped(i))
        takeAll(arena)!.release()
        for (let i = 2_000; i < 3_100; i++) arena.offer(scoped(i))
        takeAll(arena)!.release()
        return true
      },
    }
    arena.offer(spanNamed('outer', { attributes, instrumentationScope: { name: 'outer scope' } }))
    expect(namesOf(takeAll(arena)!.payload.body)).toEqual(['outer'])
  })
})

/** One thing that happens to a queue. */
type Step =
  | { kind: 'offer'; length: number }
  | { kind: 'drop'; count: number }
  | { kind: 'take'; maxCount: number; maxBytes: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('offer' as const),
        length: fc.oneof(
          { weight: 5, arbitrary: fc.integer({ min: 5, max: 300 }) },
          { weight: 2, arbitrary: fc.integer({ min: 5_000, max: 40_000 }) },
          { weight: 1, arbitrary: fc.integer({ min: SEGMENT_BYTES - 60, max: SEGMENT_BYTES + 60 }) },
        ),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('drop' as const), count: fc.integer({ min: 1, max: 5 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('take' as const),
        maxCount: fc.integer({ min: 1, max: 8 }),
        maxBytes: fc.integer({ min: 1, max: 100_000 }),
      }),
    },
  ),
  { minLength: 1, maxLength: 60 },
)

describe('the arena against an array', () => {
  it('behaves alike, whatever happens', () => {
    fc.assert(
      fc.property(steps, (happenings) => {
        const { arena } = openArena()
        const model: { name: string; sequence: number }[] = []
        let ended = 0
        for (const step of happenings) {
          if (step.kind === 'offer') {
            const name = `${ended}:`.padEnd(step.length, '.')
            arena.offer(spanNamed(name))
            model.push({ name, sequence: ended++ })
          } else if (step.kind === 'drop') {
            for (let i = 0; i < step.count; i++) arena.dropOldest()
            model.splice(0, step.count)
          } else {
            let count = 0
            let bytes = 0
            for (const { name } of model.slice(0, step.maxCount)) {
              bytes += name.length
              if (count > 0 && bytes > step.maxBytes) break
              count++
            }
            const expected = model.splice(0, count)
            const batch = arena.take(step.maxCount, step.maxBytes)
            expect(batch?.count ?? 0).toBe(count)
            if (batch !== undefined) {
              expect(namesOfBatch(batch)).toEqual(expected.map(({ name }) => name))
              expect(batch.firstSequence).toBe(expected[0]!.sequence)
            }
          }
          expect(arena.count).toBe(model.length)
          expect(arena.bytes).toBe(model.reduce((sum, { name }) => sum + name.length, 0))
          expect(arena.firstSequence).toBe(model[0]?.sequence ?? Infinity)
          const middle = Math.floor(ended / 2)
          expect(arena.countThrough(middle)).toBe(model.filter(({ sequence }) => sequence <= middle).length)
        }
      }),
      { numRuns: 150 },
    )
  })
})
