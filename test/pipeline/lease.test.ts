import { describe, expect, it, vi } from 'vitest'
import { Lease } from '../../src/pipeline/lease.ts'
import { Pace } from '../../src/pipeline/pace.ts'
import { Reporter } from '../../src/pipeline/report.ts'
import { DEFAULT_RETRY } from '../../src/pipeline/retry.ts'
import { SpanRing } from '../../src/pipeline/ring.ts'
import { SizeLimit } from '../../src/pipeline/size-limit.ts'
import type { Spiller } from '../../src/spill.ts'
import type { Outcome } from '../../src/types.ts'
import { retryable, tooLarge } from '../helpers/exporters.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { namesOfBatch, openBacklog } from '../helpers/queues.ts'

const DELIVERED: Outcome = { kind: 'delivered', rejected: 0 }

/** A lease on `spanCount` spans in batches of two. */
function openLease(spanCount: number, maxAttempts = 5, maxQueueSize = Infinity, spiller?: Spiller) {
  const { backlog, ledger } = openBacklog((admission) => new SpanRing(admission), { maxQueueSize })
  // All of one size.
  for (const name of names(spanCount)) backlog.offer(spanNamed(name.padEnd(10)))
  const reporter = new Reporter({})
  const pace = new Pace(DEFAULT_RETRY, undefined, undefined)
  const lease = new Lease(
    backlog,
    { ledger, pace, sizeLimit: new SizeLimit(), reporter, metrics: undefined, spiller },
    { maxExportBatchSize: 2, maxExportBatchBytes: Infinity, roundMillis: 60_000, maxAttempts },
  )
  /** Attempts the next batch; returns the names that were in it. */
  const attempt = (outcome: Outcome, wasFrozen = false) => {
    const batch = lease.next()!
    lease.attemptMillis(performance.now())
    const sent = namesOfBatch(batch)
    lease.apply({ outcome, wasFrozen })
    return sent.map((name) => Number(name.slice('span-'.length)))
  }
  return { lease, backlog, ledger, attempt }
}

describe('the lease', () => {
  it('goes on to the next batch when one is settled', () => {
    const { lease, ledger, attempt } = openLease(5)
    expect(lease).toMatchObject({ isOut: false, firstSequence: Infinity, bytes: 0 })
    expect(attempt(DELIVERED)).toEqual([0, 1])
    expect(attempt({ kind: 'delivered', rejected: 9 })).toEqual([2, 3])
    expect(attempt(DELIVERED)).toEqual([4])
    expect(lease.next()).toBeUndefined()
    // Nobody can reject more than was sent.
    expect(ledger).toMatchObject({ exported: 3, rejected: 2 })
  })

  it('B58: a batch that alone keeps failing has five attempts, the last after a neighbour got through', () => {
    const { ledger, attempt } = openLease(6)
    for (let i = 0; i < 4; i++) expect(attempt(retryable())).toEqual([0, 1])
    expect(attempt(DELIVERED)).toEqual([2, 3])
    expect(attempt(retryable())).toEqual([0, 1])
    expect(ledger).toMatchObject({ exported: 2, dropped: { retry_exhausted: 2 } })
    expect(attempt(DELIVERED)).toEqual([4, 5])
  })

  it('B58: a suspect that gets through in its last attempt is delivered', () => {
    const { ledger, attempt } = openLease(4)
    for (let i = 0; i < 4; i++) attempt(retryable())
    expect(attempt(DELIVERED)).toEqual([2, 3])
    expect(attempt(DELIVERED)).toEqual([0, 1])
    expect(ledger).toMatchObject({ exported: 4, dropped: { retry_exhausted: 0 } })
  })

  it('B57: when the neighbour fails, too, nobody is dropped, and the older one is tried again', () => {
    const { ledger, attempt, backlog, lease } = openLease(6)
    // Each neighbour decides once; when all have failed, the oldest is tried alone.
    const neighbours = [
      [2, 3],
      [4, 5],
    ]
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 4; i++) expect(attempt(retryable())).toEqual([0, 1])
      expect(attempt(retryable())).toEqual(neighbours[round] ?? [0, 1])
      expect(backlog.count + lease.countThrough(Infinity)).toBe(6)
    }
    expect([attempt(DELIVERED), attempt(DELIVERED), attempt(DELIVERED)].flat()).toEqual([0, 1, 2, 3, 4, 5])
    expect(ledger).toMatchObject({ exported: 6, dropped: { retry_exhausted: 0 } })
  })

  it('B57: without a neighbour to compare with it is tried for ever', () => {
    const { attempt, ledger } = openLease(2)
    for (let i = 0; i < 100; i++) expect(attempt(retryable())).toEqual([0, 1])
    expect(attempt(DELIVERED)).toEqual([0, 1])
    expect(ledger.exported).toBe(2)
  })

  it.each([
    { what: 'is kept elsewhere', maxQueueSize: 4, kept: [[0]] },
    { what: 'has what the caps have left of it kept elsewhere', maxQueueSize: 3, kept: [[1]] },
    { what: 'is not kept elsewhere if the caps have dropped it', maxQueueSize: 2, kept: [] },
  ])('B19: a batch whose time is up $what', ({ maxQueueSize, kept }) => {
    const through = vi.fn()
    const spiller = { isPossible: true, through } as unknown as Spiller
    const { lease, backlog, attempt } = openLease(2, 2, maxQueueSize, spiller)
    lease.next()
    for (const name of ['span-2', 'span-3']) backlog.offer(spanNamed(name))
    expect(attempt(retryable())).toEqual([0, 1])
    expect(through.mock.calls).toEqual(kept)
  })

  it('B17: cuts what is too large, in order, and drops what cannot be cut', () => {
    const { attempt, ledger, lease } = openLease(4)
    expect(attempt(tooLarge())).toEqual([0, 1])
    expect(lease.countThrough(Infinity)).toBe(2)
    expect(attempt(tooLarge())).toEqual([0])
    expect(attempt(DELIVERED)).toEqual([1])
    expect(attempt(DELIVERED)).toEqual([2])
    expect(attempt(DELIVERED)).toEqual([3])
    expect(ledger).toMatchObject({ exported: 3, dropped: { span_too_large: 1 } })
  })

  it('B35: remembers what was too large, and asks again after 64 delivered batches', () => {
    const { attempt } = openLease(140)
    expect(attempt(tooLarge())).toEqual([0, 1])
    for (let i = 0; i < 64; i++) expect(attempt(DELIVERED)).toEqual([i])
    expect(attempt(tooLarge())).toEqual([64, 65])
    for (let i = 64; i < 128; i++) expect(attempt(DELIVERED)).toEqual([i])
    expect(attempt(DELIVERED)).toEqual([128, 129])
  })

  it('B34: what is left of a round is not spent on an attempt that nobody could answer in time', () => {
    const { lease } = openLease(2)
    lease.next()
    expect(lease.attemptMillis(1_000)).toBe(60_000)
    expect(lease.attemptMillis(60_000)).toBe(1_000)
    // Less than a second is left of the round: the attempt begins the next one.
    expect(lease.attemptMillis(60_001)).toBe(60_000)
  })

  it.each([
    ['a socket that had died of old age', { ...retryable(), staleSocket: true } as Outcome, false],
    ['a freeze', retryable(), true],
  ])('B27: a failure by %s is one retry for nothing', (_what, outcome, wasFrozen) => {
    const { attempt, ledger } = openLease(4, 2)
    expect(attempt(outcome, wasFrozen)).toEqual([0, 1])
    expect(attempt(DELIVERED)).toEqual([0, 1])
    // The second of its kind counts: with two attempts, the neighbour is next.
    expect(attempt(outcome, wasFrozen)).toEqual([2, 3])
    expect(attempt(outcome, wasFrozen)).toEqual([2, 3])
    expect(ledger).toMatchObject({ exported: 2, dropped: { retry_exhausted: 0 } })
  })

  it('gives up all pieces at shutdown, and a late answer changes nothing', () => {
    const { attempt, ledger, lease } = openLease(3)
    attempt(tooLarge())
    lease.drop()
    expect(ledger.dropped.shutdown_timeout).toBe(2)
    lease.apply({ outcome: DELIVERED, wasFrozen: false })
    expect(ledger).toMatchObject({ exported: 0 })
    expect(lease.isOut).toBe(false)
  })

  it('counts what is out by walking', () => {
    const { lease } = openLease(3)
    lease.next()
    expect(lease.firstSequence).toBe(0)
    expect([-1, 0, 1, 2].map((sequence) => lease.countThrough(sequence))).toEqual([0, 1, 2, 2])
    expect(lease.bytes).toBeGreaterThan(0)
  })
})
