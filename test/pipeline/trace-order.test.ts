import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TraceOrder } from '../../src/pipeline/trace-order.ts'
import { FLAG_ERROR, FLAG_LOCAL_ROOT } from '../../src/types.ts'

interface Span {
  readonly sequence: number
  readonly trace: number
  readonly size: number
  readonly isImportant: boolean
}

/** The same, said in the plainest way: lists of spans, searched from the front. */
class PlainOrder {
  waiting: Span[] = []
  readonly broken = new Set<number>()
  readonly sent = new Set<number>()
  readonly kept: Span[] = []
  /** Traces that have spans which are not kept, in the order in which they joined their line. */
  lines: number[] = []

  add(span: Span): void {
    this.waiting.push(span)
    if (this.broken.has(span.trace) && span.isImportant) this.kept.push(span)
    else if (!this.lines.includes(span.trace)) this.lines.push(span.trace)
  }

  take(): Span | undefined {
    const [first] = this.waiting
    if (first === undefined) return undefined
    if (!this.sent.has(first.trace) && !this.broken.has(first.trace)) this.#rejoin(first.trace)
    this.sent.add(first.trace)
    this.#remove(first)
    return first
  }

  drop(): Span | undefined {
    for (;;) {
      const inBroken = this.lines.find((trace) => this.broken.has(trace))
      const excess = this.kept.length * 8 > this.waiting.length ? this.kept[0] : undefined
      const fresh = this.lines.find((trace) => !this.broken.has(trace) && !this.sent.has(trace))
      const next = fresh ?? this.lines.find((trace) => !this.broken.has(trace))
      const lost =
        (inBroken !== undefined ? this.#plainOf(inBroken)[0] : excess) ??
        (next === undefined ? this.kept[0] : undefined)
      if (lost !== undefined) {
        this.#remove(lost)
        return lost
      }
      if (next === undefined) return undefined
      this.kept.push(...this.#plainOf(next).filter(({ isImportant }) => isImportant))
      this.broken.add(next)
      this.#rejoin(next)
    }
  }

  #plainOf(trace: number): Span[] {
    return this.waiting.filter((span) => span.trace === trace && !this.kept.includes(span))
  }

  #rejoin(trace: number): void {
    this.lines = this.lines.filter((each) => each !== trace)
    if (this.#plainOf(trace).length > 0) this.lines.push(trace)
  }

  #remove(span: Span): void {
    this.waiting = this.waiting.filter((each) => each !== span)
    if (this.kept.includes(span)) this.kept.splice(this.kept.indexOf(span), 1)
    if (this.#plainOf(span.trace).length === 0) this.lines = this.lines.filter((each) => each !== span.trace)
  }
}

const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('add' as const),
        trace: fc.integer({ min: 0, max: 9 }),
        size: fc.integer({ min: 1, max: 50 }),
        isImportant: fc.constantFrom(false, false, false, true),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('take' as const) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('drop' as const) }) },
  ),
  { maxLength: 120 },
)

describe('the order of traces', () => {
  it('drops and takes what the plainest implementation does, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(commands, (list) => {
        const order = new TraceOrder<Span>()
        const plain = new PlainOrder()
        list.forEach((command, sequence) => {
          if (command.kind === 'add') {
            const span = { ...command, sequence }
            const flags = span.isImportant ? (sequence % 2 === 0 ? FLAG_ERROR : FLAG_LOCAL_ROOT) : 0
            order.add(sequence, span.size, span.trace, flags, span)
            plain.add(span)
          } else if (command.kind === 'take') {
            expect(order.take()?.sequence).toBe(plain.take()?.sequence)
          } else {
            expect(order.drop()).toBe(plain.drop()?.sequence ?? Infinity)
          }
          expect([...order].map((span) => span.sequence)).toEqual(plain.waiting.map((span) => span.sequence))
          expect(order.count).toBe(plain.waiting.length)
          expect(order.bytes).toBe(plain.waiting.reduce((bytes, { size }) => bytes + size, 0))
          expect(order.first?.sequence).toBe(plain.waiting[0]?.sequence)
        })
      }),
      { numRuns: 500 },
    )
  })

  /** `a` to `z` are traces, `!` marks a root or an error; returns what is dropped, in order. */
  function drops(
    spans: string,
    { taken = 0, count = Infinity }: { taken?: number; count?: number } = {},
  ): string[] {
    const order = new TraceOrder<string>()
    const names = spans.split(' ')
    names.forEach((name, i) => {
      order.add(i, 1, name.charCodeAt(0), name.endsWith('!') ? FLAG_ERROR : 0, name)
      if (i < taken) order.take()
    })
    const dropped: string[] = []
    while (order.count > 0 && dropped.length < count) dropped.push(names[order.drop()] as string)
    return dropped
  }

  it('drops the oldest trace whole, then the next one', () => {
    expect(drops('a1 b1 a2 c1 b2 a3')).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'c1'])
  })

  it('drops traces of which a part was sent last', () => {
    expect(drops('a1 b1 a2 c1 b2', { taken: 2 })).toEqual(['c1', 'a2', 'b2'])
  })

  it('keeps roots and errors until they are more than an eighth of what waits', () => {
    const spans = `a1! a2 a3 b1 b2 b3! ${Array.from({ length: 12 }, (_, i) => `c${i}`).join(' ')}`
    expect(drops(spans, { count: 6 })).toEqual(['a2', 'a3', 'b1', 'b2', 'a1!', 'c0'])
  })

  it('drops what comes of a broken trace later before it breaks another, and keeps its root', () => {
    const order = new TraceOrder<string>()
    const add = (sequence: number, trace: number, flags = 0) => order.add(sequence, 1, trace, flags, '')
    for (let i = 0; i < 20; i++) add(i, i)
    expect(order.drop()).toBe(0)
    add(20, 0)
    add(21, 0, FLAG_LOCAL_ROOT)
    expect([order.drop(), order.drop(), order.drop()]).toEqual([20, 1, 2])
  })

  it.each([4095, 8191])(
    'remembers a broken trace for thousands of others (%i), and no longer than it has to',
    (others) => {
      const remembers = (count: number) => {
        const order = new TraceOrder<string>()
        order.add(0, 1, -1, 0, '')
        order.drop()
        for (let i = 1; i <= count; i++) {
          order.add(i, 1, i, 0, '')
          order.take()
        }
        for (let i = 0; i < 10; i++) order.add(count + 1 + i, 1, -2, 0, '')
        order.add(count + 11, 1, -1, 0, '')
        return order.drop() === count + 11
      }
      expect(remembers(others)).toBe(true)
      expect(remembers(8193)).toBe(false)
    },
  )

  it('B21: a drop takes no longer in a queue a hundred times as long', () => {
    const millisPerDrop = (waiting: number) => {
      const order = new TraceOrder<string>()
      let sequence = 0
      const add = () =>
        order.add(sequence, 1, Math.floor(sequence++ / 7) % 50_000, sequence % 9 === 0 ? 1 : 0, '')
      while (order.count < waiting) add()
      const startedAt = performance.now()
      for (let i = 0; i < 200_000; i++) {
        add()
        order.drop()
      }
      return (performance.now() - startedAt) / 200_000
    }
    millisPerDrop(1_000)
    expect(millisPerDrop(100_000) / millisPerDrop(1_000)).toBeLessThan(20)
  })
})
