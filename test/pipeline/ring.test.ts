import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LateEncodingRing, SpanRing } from '../../src/pipeline/ring.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { NameEncoder } from '../helpers/name-encoder.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { namesOfBatch, OpenDoor } from '../helpers/queues.ts'

function openRing() {
  const door = new OpenDoor()
  return { ring: new SpanRing(door), door }
}

describe('the ring', () => {
  it('gives spans back in order across its chunks', () => {
    const { ring } = openRing()
    for (const name of names(1_000)) ring.offer(spanNamed(name))
    expect(ring).toMatchObject({ count: 1_000, firstSequence: 0 })
    expect(namesOfBatch(ring.take(300, Infinity)!)).toEqual(names(300))
    for (let i = 0; i < 300; i++) ring.dropOldest()
    expect(ring).toMatchObject({ count: 400, firstSequence: 600 })
    expect(ring.countThrough(700)).toBe(101)
    expect(namesOfBatch(ring.take(1_000, Infinity)!)).toEqual(names(1_000).slice(600))
    expect(ring).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity })
    expect(ring.take(1, Infinity)).toBeUndefined()
  })

  it('B16: cuts a batch exactly at maxBytes', () => {
    const { ring, door } = openRing()
    for (const name of names(5)) ring.offer(spanNamed(name))
    const [cost] = door.admitted as [number]
    expect(ring.bytes).toBe(5 * cost)
    expect(ring.take(5, 2 * cost - 1)!.count).toBe(1)
    expect(ring.take(5, 2 * cost)!.count).toBe(2)
    expect(ring.bytes).toBe(2 * cost)
  })

  it('estimates a span by its texts, and survives one that is none', () => {
    const cost = (span: ReadableSpan) => {
      const { ring } = openRing()
      ring.offer(span)
      return ring.bytes
    }
    const plain = cost(spanNamed('a'))
    expect(cost(spanNamed('a'.repeat(1_001)))).toBe(plain + 1_000)
    expect(cost(spanNamed('a', { attributes: { text: 'x'.repeat(5_000) } }))).toBeGreaterThan(plain + 5_000)
    expect(cost(spanNamed('a', { attributes: { list: ['x'.repeat(5_000)] } }))).toBeGreaterThan(plain + 5_000)
    expect(cost(spanNamed('a', { attributes: { bytes: new Uint8Array(5_000) } }))).toBeGreaterThan(
      plain + 5_000,
    )
    expect(cost(spanNamed('a', { events: [{ name: 'x'.repeat(5_000), time: [0, 0] }] }))).toBeGreaterThan(
      plain + 5_000,
    )
    expect(cost({} as ReadableSpan)).toBeGreaterThan(0)
  })

  it('a batch is split in the middle and trimmed from the front', () => {
    const { ring } = openRing()
    for (const name of names(7)) ring.offer(spanNamed(name))
    const batch = ring.take(7, Infinity)!
    batch.dropOldest()
    expect(batch).toMatchObject({ count: 6, firstSequence: 1 })
    const bytes = batch.bytes
    const halves = batch.split()
    expect(halves.map(namesOfBatch)).toEqual([names(4).slice(1), names(7).slice(4)])
    expect(halves.map((half) => half.firstSequence)).toEqual([1, 4])
    expect(halves[0].bytes + halves[1].bytes).toBe(bytes)
    expect(halves[1].countThrough(5)).toBe(2)
  })

  it('behaves like an array, whatever happens', () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('offer'), count: fc.integer({ min: 1, max: 200 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('drop'), count: fc.integer({ min: 1, max: 300 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('take'), count: fc.integer({ min: 1, max: 300 }) }),
      },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (happenings) => {
        const { ring } = openRing()
        let ended = 0
        const model: number[] = []
        for (const { kind, count } of happenings) {
          if (kind === 'offer') {
            for (let i = 0; i < count; i++) {
              ring.offer(spanNamed(String(ended)))
              model.push(ended++)
            }
          } else if (kind === 'drop') {
            for (let i = 0; i < count; i++) ring.dropOldest()
            model.splice(0, count)
          } else {
            const batch = ring.take(count, Infinity)
            expect(batch === undefined ? [] : namesOfBatch(batch).map(Number)).toEqual(model.splice(0, count))
          }
          expect(ring.count).toBe(model.length)
          expect(ring.firstSequence).toBe(model[0] ?? Infinity)
          expect(ring.bytes === 0).toBe(model.length === 0)
          const middle = Math.floor(ended / 2)
          expect(ring.countThrough(middle)).toBe(model.filter((sequence) => sequence <= middle).length)
        }
      }),
      { numRuns: 100 },
    )
  })
})

describe('the ring that encodes late', () => {
  it('B64: encodes a span as it is when its batch is taken, under the sequence it had', () => {
    const ring = new LateEncodingRing(new NameEncoder(), new OpenDoor())
    const spans = names(5).map((name) => ({ ...spanNamed(name) }))
    for (const span of spans) ring.offer(span)
    for (const span of spans) Object.assign(span, { name: span.name.replace('span', 'later') })
    expect(ring.take(2, Infinity)).toMatchObject({ count: 2, firstSequence: 0 })
    ring.dropOldest()
    const batch = ring.take(10, Infinity)!
    expect(namesOfBatch(batch)).toEqual(['later-3', 'later-4'])
    expect(batch.firstSequence).toBe(3)
    expect(batch.countThrough(3)).toBe(1)
  })

  it('B44: says which span could not be encoded, and takes the others', () => {
    const door = new OpenDoor()
    const ring = new LateEncodingRing(new NameEncoder(), door)
    let isBroken = false
    const broken = spanNamed('', {
      get name() {
        if (isBroken) throw new Error('no name')
        return 'broken'
      },
    })
    for (const span of [spanNamed('a'), broken, spanNamed('b')]) ring.offer(span)
    isBroken = true
    expect(namesOfBatch(ring.take(10, Infinity)!)).toEqual(['a', 'b'])
    expect(door.encodingFailures).toEqual([1])
    ring.offer(broken)
    expect(ring.take(10, Infinity)).toBeUndefined()
    expect(ring.count).toBe(0)
  })

  it('may be offered spans by user code while it encodes', () => {
    const ring = new LateEncodingRing(new NameEncoder(), new OpenDoor())
    let isTaking = false
    const chatty = spanNamed('', {
      get name() {
        if (isTaking) ring.offer(spanNamed('inner'))
        return 'chatty'
      },
    })
    for (const span of [spanNamed('a'), chatty, spanNamed('b')]) ring.offer(span)
    isTaking = true
    expect(namesOfBatch(ring.take(3, Infinity)!)).toEqual(['a', 'chatty', 'b'])
    expect(namesOfBatch(ring.take(3, Infinity)!)).toEqual(['inner'])
  })
})
