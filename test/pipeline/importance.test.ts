import { SpanStatusCode } from '@opentelemetry/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonEncoder } from '../../src/otlp/json.ts'
import { ProtobufEncoder } from '../../src/otlp/protobuf.ts'
import { Arena } from '../../src/pipeline/arena.ts'
import { mostImportant } from '../../src/pipeline/importance.ts'
import { FLAG_ERROR, FLAG_LOCAL_ROOT, type ReadableSpan, type SpanEncoder } from '../../src/types.ts'
import { decodeJson, decodeProtobuf, type OtlpRequest } from '../helpers/otlp-schema.ts'
import { spanNamed } from '../helpers/processors.ts'
import { OpenDoor } from '../helpers/queues.ts'
import { PARENT_SPAN_ID, TRACE_ID } from '../helpers/spans.ts'

const ENCODINGS: [string, () => SpanEncoder, (body: Uint8Array) => OtlpRequest][] = [
  ['protobuf', () => new ProtobufEncoder(), decodeProtobuf],
  ['json', () => new JsonEncoder(), decodeJson],
]

/** A span as the generator makes it. */
interface Part {
  readonly isError: boolean
  readonly isRoot: boolean
  readonly textLength: number
  readonly scope: number
}

const part: fc.Arbitrary<Part> = fc.record({
  isError: fc.boolean(),
  isRoot: fc.boolean(),
  textLength: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 400 }) },
    { weight: 1, arbitrary: fc.integer({ min: 10_000, max: 70_000 }) },
  ),
  scope: fc.integer({ min: 0, max: 5 }),
})

function spanOf({ isError, isRoot, textLength, scope }: Part, sequence: number): ReadableSpan {
  return spanNamed(`span-${sequence}`, {
    status: { code: isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    parentSpanContext: isRoot ? undefined : { traceId: TRACE_ID, spanId: PARENT_SPAN_ID, traceFlags: 1 },
    attributes: { text: 'x'.repeat(textLength) },
    instrumentationScope: { name: `scope-${scope}`.padEnd(100 * scope) },
  })
}

function sequencesIn({ resourceSpans }: OtlpRequest): number[] {
  return resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .map(({ name }) => Number(name.slice('span-'.length)))
    .sort((a, b) => a - b)
}

/** How much a span matters: errors, then roots. */
const rank = ({ isError, isRoot }: Part) => (isError ? 2 : 0) + (isRoot ? 1 : 0)

describe('the most important records', () => {
  it('are errors, then local roots, then the others, and of each kind the newest', () => {
    const flags = [
      0,
      FLAG_LOCAL_ROOT,
      FLAG_ERROR,
      0,
      FLAG_LOCAL_ROOT,
      FLAG_ERROR,
      FLAG_ERROR | FLAG_LOCAL_ROOT,
    ]
    const lengths = flags.map(() => 10)
    const order = flags.map((_, count) => [...mostImportant(lengths, flags, count + 1, Infinity)].at(-1))
    expect(order).toEqual([6, 5, 2, 4, 1, 3, 0])
  })

  it('fit into the bytes exactly; what is too large is passed over for what is not', () => {
    const chosen = (maxBytes: number) => [
      ...mostImportant([4, 60, 5], [0, FLAG_ERROR, FLAG_ERROR], 10, maxBytes),
    ]
    expect(chosen(65)).toEqual([2, 1])
    expect(chosen(64)).toEqual([2, 0])
    expect(chosen(8)).toEqual([2])
    expect(chosen(3)).toEqual([])
    expect(chosen(-1)).toEqual([])
  })
})

describe.each(ENCODINGS)('an arena of %s', (_name, createEncoder, decode) => {
  it('B55: gives the most important spans that fit into a body, and keeps the others in order', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 80 }),
        fc.integer({ min: 0, max: 30_000 }),
        (parts, maxBytes) => {
          const arena = new Arena(createEncoder(), new OpenDoor())
          for (const [sequence, each] of parts.entries()) arena.offer(spanOf(each, sequence))
          const bytes = arena.bytes
          const batch = arena.takeFirst(50, maxBytes)

          const taken = batch === undefined ? [] : sequencesIn(decode(batch.payload.body))
          if (batch !== undefined) {
            expect(batch.payload.body.length).toBeLessThanOrEqual(maxBytes)
            expect(batch.count).toBe(taken.length)
            expect(batch.firstSequence).toBe(taken[0])
            expect(taken.length).toBeLessThanOrEqual(50)
          }
          const left = parts.map((_, sequence) => sequence).filter((sequence) => !taken.includes(sequence))
          expect(arena).toMatchObject({ count: left.length, firstSequence: left[0] ?? Infinity })
          expect(arena.bytes + (batch?.bytes ?? 0)).toBe(bytes)
          for (const middle of [0, 7, 40]) {
            expect(arena.countThrough(middle)).toBe(left.filter((sequence) => sequence <= middle).length)
          }
          // Whatever was left behind for a lesser one is larger than that.
          const least = Math.min(...taken.map((sequence) => rank(parts[sequence]!)))
          for (const sequence of left) {
            const each = parts[sequence]!
            if (taken.length < 50 && rank(each) > least) {
              expect(each.textLength).toBeGreaterThan(
                Math.min(
                  ...taken.filter((one) => rank(parts[one]!) === least).map((one) => parts[one]!.textLength),
                ) - 700,
              )
            }
          }

          arena.offer(spanOf({ isError: false, isRoot: false, textLength: 3, scope: 0 }, parts.length))
          const rest: number[] = []
          for (let next = arena.take(20, Infinity); next !== undefined; next = arena.take(20, Infinity)) {
            rest.push(...sequencesIn(decode(next.payload.body)))
          }
          expect(rest).toEqual([...left, parts.length])
        },
      ),
      { numRuns: 150 },
    )
  })

  it('B55: leaves little of the budget unused', () => {
    const arena = new Arena(createEncoder(), new OpenDoor())
    for (let i = 0; i < 1_000; i++)
      arena.offer(spanOf({ isError: false, isRoot: true, textLength: 100, scope: 1 }, i))
    const { length } = arena.takeFirst(10_000, 60_000)!.payload.body
    expect(length).toBeLessThanOrEqual(60_000)
    expect(length).toBeGreaterThan(59_000)
  })

  it('B55: a resource that fills the budget alone leaves everything where it is', () => {
    const arena = new Arena(createEncoder(), new OpenDoor())
    arena.offer(spanNamed('a', { resource: { attributes: { text: 'x'.repeat(5_000) } } }))
    expect(arena.takeFirst(10, 5_000)).toBeUndefined()
    expect(arena.count).toBe(1)
    expect(arena.takeFirst(10, 6_000)!.count).toBe(1)
    expect(arena.takeFirst(10, 6_000)).toBeUndefined()
  })
})
