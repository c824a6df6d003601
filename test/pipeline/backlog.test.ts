import { describe, expect, it } from 'vitest'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import { Arena } from '../../src/pipeline/arena.ts'
import type { Admission } from '../../src/pipeline/queue.ts'
import { LateEncodingRing, SpanRing } from '../../src/pipeline/ring.ts'
import { TraceArena, TraceRing } from '../../src/pipeline/trace-queue.ts'
import type { Spiller } from '../../src/spill.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { expectedAttributes } from '../helpers/expected-otlp.ts'
import { NameEncoder } from '../helpers/name-encoder.ts'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { namesOfBatch, openBacklog } from '../helpers/queues.ts'
import { spanOf } from '../helpers/traces.ts'

const encoder = () => new NameEncoder()

describe.each([
  ['an arena', (limits?: object) => openBacklog((admission) => new Arena(encoder(), admission), limits)],
  [
    'a late-encoding ring',
    (limits?: object) => openBacklog((admission) => new LateEncodingRing(encoder(), admission), limits),
  ],
  [
    'encoded spans by trace',
    (limits?: object) => openBacklog((admission) => new TraceArena(encoder(), admission), limits),
  ],
  [
    'late-encoded spans by trace',
    (limits?: object) =>
      openBacklog(
        (admission) => new TraceRing(admission, (exit) => new LateEncodingRing(encoder(), exit)),
        limits,
      ),
  ],
])('the backlog over %s', (_name, open) => {
  it('lets a batch wait again at its old place', () => {
    const { backlog } = open()
    for (const name of names(9)) backlog.offer(spanNamed(name))
    const [first, second] = [backlog.take(3, Infinity)!, backlog.take(3, Infinity)!]
    expect(backlog).toMatchObject({ count: 3, firstSequence: 6, parkedCount: 0 })
    backlog.putBack(second)
    backlog.putBack(first)
    expect(backlog).toMatchObject({ count: 9, firstSequence: 0, parkedCount: 2 })
    expect(backlog.isParked(first)).toBe(true)
    expect(backlog.countThrough(4)).toBe(5)
    const order = [1, 2, 3].map(() => namesOfBatch(backlog.take(3, Infinity)!))
    expect(order.flat()).toEqual(names(9))
    expect(backlog).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity, newestSequence: 8 })
  })

  it('B16: a batch that comes back pushes out the oldest, which are its own', () => {
    const { backlog, ledger, drops } = open({ maxQueueSize: 4 })
    for (const name of names(3)) backlog.offer(spanNamed(name))
    const batch = backlog.take(3, Infinity)!
    for (const name of names(3, 'new-')) backlog.offer(spanNamed(name))
    backlog.putBack(batch)
    expect(backlog.count).toBe(4)
    expect(ledger.dropped.queue_full).toBe(2)
    expect(drops).toEqual([
      { reason: 'queue_full', count: 1 },
      { reason: 'queue_full', count: 1 },
    ])
    expect(namesOfBatch(backlog.take(10, Infinity)!)).toEqual(['span-2'])
    expect(namesOfBatch(backlog.take(10, Infinity)!)).toEqual(names(3, 'new-'))
  })

  it('B16: a parked batch of which nothing is left is gone', () => {
    const { backlog, ledger } = open({ maxQueueSize: 3 })
    for (const name of names(3)) backlog.offer(spanNamed(name))
    const batch = backlog.take(3, Infinity)!
    backlog.putBack(batch)
    for (const name of names(4, 'new-')) backlog.offer(spanNamed(name))
    expect(backlog).toMatchObject({ count: 3, parkedCount: 0 })
    expect(backlog.isParked(batch)).toBe(false)
    expect(ledger.dropped.queue_full).toBe(4)
  })

  it('gives up everything, parked or not, with the reason', () => {
    const { backlog, ledger } = open()
    for (const name of names(5)) backlog.offer(spanNamed(name))
    backlog.putBack(backlog.take(2, Infinity)!)
    backlog.dropAll('shutdown_timeout')
    expect(backlog).toMatchObject({ count: 0, bytes: 0, firstSequence: Infinity })
    expect(ledger.dropped.shutdown_timeout).toBe(5)
    expect(ledger.ended).toBe(5)
  })

  it('a tally hears of the drops that it covers, and of no others', () => {
    const { backlog, ledger } = open({ maxQueueSize: 3 })
    for (const name of names(3)) backlog.offer(spanNamed(name))
    const tally = ledger.open(1)
    for (const name of names(4, 'new-')) backlog.offer(spanNamed(name))
    expect(tally.dropped).toBe(2)
    expect(ledger.dropped.queue_full).toBe(4)
    ledger.close(tally)
    backlog.dropAll('shutdown_timeout')
    expect(tally.dropped).toBe(2)
  })
})

describe('the backlog', () => {
  it('B16: parked bytes count against maxQueueBytes, exactly', () => {
    const { backlog, ledger } = openBacklog((admission) => new Arena(encoder(), admission), {
      maxQueueBytes: 60,
    })
    for (const name of names(5)) backlog.offer(spanNamed(name))
    backlog.putBack(backlog.take(5, Infinity)!)
    for (const name of names(5)) backlog.offer(spanNamed(name))
    expect(backlog).toMatchObject({ count: 10, bytes: 60 })
    backlog.offer(spanNamed('x'))
    expect(backlog).toMatchObject({ count: 10, bytes: 55 })
    expect(ledger.dropped.queue_bytes_full).toBe(1)
  })

  it('B44: a span that cannot be encoded is counted as it ends', () => {
    const { backlog, ledger, failures } = openBacklog((admission) => new Arena(encoder(), admission))
    const broken = spanNamed('', {
      get name(): string {
        throw new Error('no name')
      },
    })
    backlog.offer(broken)
    expect(ledger).toMatchObject({ ended: 1, dropped: { encode_error: 1 } })
    expect(failures).toHaveLength(1)
    expect(backlog.newestSequence).toBe(-1)
  })

  it("B15: 'newest' turns away what does not fit, and takes no number for it", () => {
    const { backlog, ledger } = openBacklog((admission) => new SpanRing(admission), {
      maxQueueSize: 2,
      dropPolicy: 'newest',
    })
    for (const name of names(5)) backlog.offer(spanNamed(name))
    expect(backlog).toMatchObject({ count: 2, newestSequence: 1 })
    expect(ledger).toMatchObject({ ended: 5, dropped: { queue_full: 3 } })
  })
})

/** Makes no room, but runs what it is given when it is asked to, as user code does while a batch is framed. */
function spillerThatRuns(userCode: () => void): Spiller {
  return {
    isPossible: true,
    bytes: 0,
    firstSequence: Infinity,
    countThrough: () => 0,
    through() {},
    async next() {},
    relieve: userCode,
    allSync() {},
  }
}

describe('the backlog, where making room ends spans', () => {
  it.each([
    ['an arena', (admission: Admission) => new Arena(new ProtobufEncoder(), admission)],
    ['an arena by trace', (admission: Admission) => new TraceArena(new ProtobufEncoder(), admission)],
  ])('B44: has them come in after the span that needs the room, which stays whole: %s', (_, create) => {
    const { backlog, ledger } = openBacklog(create, { maxQueueSize: 40 })
    let ended = 0
    let due = 0
    backlog.spiller = spillerThatRuns(() => {
      if (ended < due) backlog.offer(spanNamed(`meanwhile ${ended++}`))
    })
    for (let i = 0; i < 100; i++) {
      due = ended + 1
      backlog.offer(spanNamed(`span ${i}`, { attributes: { first: 'a'.repeat(500 + i), last: i } }))
      expect(ledger.ended).toBe(backlog.count + ledger.dropped.queue_full)
    }
    expect(ended).toBe(60)
    const { body } = backlog.take(1_000, Infinity)!.payload
    const spans = decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) => spans),
    )
    expect(spans.map(({ name }) => name)).toEqual(
      Array.from({ length: 20 }, (_, i) => [`span ${80 + i}`, `meanwhile ${40 + i}`]).flat(),
    )
    for (const { name, attributes } of spans) {
      const [, number] = /^span (\d+)$/.exec(name) ?? []
      const written = number && { first: 'a'.repeat(500 + Number(number)), last: Number(number) }
      expect(attributes).toEqual(expectedAttributes(written || {}))
    }
  })

  it('is done with that at some time, and counts those that it takes in no more', () => {
    const { backlog, ledger } = openBacklog((admission) => new Arena(encoder(), admission), {
      maxQueueSize: 1,
    })
    let ended = 0
    backlog.spiller = spillerThatRuns(() => {
      for (let i = 0; i < 2; i++) backlog.offer(spanNamed(`meanwhile ${ended++}`))
    })
    backlog.offer(spanNamed('first'))
    backlog.offer(spanNamed('second'))
    expect(ended).toBe(2 * 10_001)
    expect(ledger).toMatchObject({ ended: 2 + ended, dropped: { queue_full: 2 + ended - 1 } })
    expect(backlog.count).toBe(1)
  })

  it('takes them in after a batch that is put back, too', () => {
    const { backlog, ledger } = openBacklog((admission) => new Arena(encoder(), admission), {
      maxQueueSize: 3,
    })
    for (const name of names(2)) backlog.offer(spanNamed(name))
    const batch = backlog.take(2, Infinity)!
    for (const name of names(2, 'newer-')) backlog.offer(spanNamed(name))
    let asked = 0
    backlog.spiller = spillerThatRuns(() => {
      if (asked++ === 0) backlog.offer(spanNamed('meanwhile'))
    })
    backlog.putBack(batch)
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['newer-0', 'newer-1', 'meanwhile'])
    expect(ledger).toMatchObject({ ended: 5, dropped: { queue_full: 2 } })
    expect(asked).toBe(2)
  })

  it('is not asked to make room while it makes room', () => {
    const { backlog } = openBacklog((admission) => new Arena(encoder(), admission), { maxQueueSize: 1 })
    backlog.offer(spanNamed('first'))
    const batch = backlog.take(1, Infinity)!
    backlog.offer(spanNamed('second'))
    let depth = 0
    let asked = 0
    backlog.spiller = spillerThatRuns(() => {
      expect(++depth).toBe(1)
      if (asked++ === 0) backlog.putBack(batch)
      depth--
    })
    backlog.offer(spanNamed('third'))
    expect(asked).toBe(1)
    expect(namesOfBatch(backlog.take(1, Infinity)!)).toEqual(['third'])
  })
})

describe('the backlog with a spiller', () => {
  it('takes in what ends while room is made, and goes on, even if making room throws', () => {
    const { backlog, ledger, failures } = openBacklog((admission) => new Arena(encoder(), admission), {
      maxQueueSize: 1,
    })
    let isBroken = true
    backlog.spiller = spillerThatRuns(() => {
      if (!isBroken) return
      isBroken = false
      backlog.offer(spanNamed('meanwhile'))
      throw new Error('a getter threw')
    })
    backlog.offer(spanNamed('first'))
    backlog.offer(spanNamed('unlucky'))
    expect(backlog).toMatchObject({ count: 1, newestSequence: 1 })
    backlog.offer(spanNamed('afterwards'))

    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['afterwards'])
    expect(failures).toHaveLength(1)
    expect(ledger).toMatchObject({ ended: 4, dropped: { encode_error: 1, queue_full: 2 } })
  })
})

describe("the backlog with dropPolicy 'oldest-trace'", () => {
  const open = (maxQueueSize: number) =>
    openBacklog<ReadableSpan[]>((admission) => new TraceRing(admission, (exit) => new SpanRing(exit)), {
      maxQueueSize,
      dropPolicy: 'oldest-trace',
    })

  it('lets a batch that waits again stand as long as there is a trace in the queue', () => {
    const { backlog, ledger } = open(4)
    for (const name of ['a1', 'a2', 'b1', 'b2']) backlog.offer(spanOf(name.charCodeAt(0), name))
    const batch = backlog.take(2, Infinity)!
    backlog.putBack(batch)

    for (const name of ['c1', 'd1', 'e1', 'f1']) backlog.offer(spanOf(name.charCodeAt(0), name))

    expect(ledger.dropped.queue_full).toBe(4)
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['a1', 'a2'])
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['e1', 'f1'])
  })

  it('gives up a batch that waits again, its oldest span first, where there is nothing else', () => {
    const { backlog, ledger } = open(4)
    for (const name of ['a1', 'a2', 'b1', 'b2']) backlog.offer(spanOf(name.charCodeAt(0), name))
    backlog.putBack(backlog.take(4, Infinity)!)
    backlog.offer(spanOf(3, 'c1'))
    expect(ledger.dropped.queue_full).toBe(1)
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['a2', 'b1', 'b2'])
  })

  it('a page that is hidden takes errors and roots first; the others wait on, and give way oldest first', () => {
    const { backlog, ledger } = openBacklog((admission) => new TraceArena(encoder(), admission), {
      maxQueueSize: 6,
      dropPolicy: 'oldest-trace',
    })
    for (const name of ['a1', 'b1!', 'a2', 'c1!', 'd1', 'd2'])
      backlog.offer(spanOf(name.charCodeAt(0), name, { isError: name.endsWith('!') }))

    expect(namesOfBatch(backlog.takeFirst(2, Infinity)!)).toEqual(['b1!', 'c1!'])
    expect(backlog).toMatchObject({ count: 4, firstSequence: 0 })
    for (const name of ['e1', 'e2', 'f1', 'f2', 'f3']) backlog.offer(spanOf(name.charCodeAt(0), name))

    expect(ledger.dropped.queue_full).toBe(3)
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['a1', 'a2', 'd1', 'd2'])
    expect(namesOfBatch(backlog.take(9, Infinity)!)).toEqual(['f2', 'f3'])
    expect(backlog.count).toBe(0)
  })
})
