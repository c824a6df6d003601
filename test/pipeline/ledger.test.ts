import { describe, expect, it } from 'vitest'
import { Arena } from '../../src/pipeline/arena.ts'
import { DrainLoop } from '../../src/pipeline/drain.ts'
import { Ledger } from '../../src/pipeline/ledger.ts'
import { Pace } from '../../src/pipeline/pace.ts'
import { Reporter } from '../../src/pipeline/report.ts'
import { DEFAULT_RETRY } from '../../src/pipeline/retry.ts'
import { SpanRing } from '../../src/pipeline/ring.ts'
import { SizeLimit } from '../../src/pipeline/size-limit.ts'
import { type DropReason, ExportError } from '../../src/types.ts'
import { NameEncoder } from '../helpers/name-encoder.ts'
import { names, spanNamed } from '../helpers/processors.ts'
import { OpenDoor, openBacklog } from '../helpers/queues.ts'

function batchOf(count: number, from = 0) {
  const ring = new SpanRing(new OpenDoor())
  for (const name of names(from + count)) ring.offer(spanNamed(name))
  for (let i = 0; i < from; i++) ring.dropOldest()
  return ring.take(count, Infinity)!
}

const refused = new ExportError('http_status', 'the backend answered 400')

describe('the ledger', () => {
  it('counts what became of a batch', () => {
    const ledger = new Ledger(() => {})
    ledger.batchDelivered(batchOf(5), 2)
    ledger.batchFailed(batchOf(3), refused)
    ledger.batchDropped('retry_exhausted', batchOf(4))
    ledger.spanDropped('queue_full', 0, 'queue')
    ledger.spanRefused('already_shutdown')
    expect(ledger).toMatchObject({
      ended: 1,
      exported: 3,
      rejected: 2,
      failed: 3,
      dropped: { retry_exhausted: 4, queue_full: 1, already_shutdown: 1 },
    })
  })

  it('tells of every drop, with its reason', () => {
    const drops: [DropReason, number][] = []
    const ledger = new Ledger((reason, count) => void drops.push([reason, count]))
    ledger.spanRefused('encode_error')
    ledger.batchDropped('shutdown_timeout', batchOf(7))
    expect(drops).toEqual([
      ['encode_error', 1],
      ['shutdown_timeout', 7],
    ])
  })

  it('B3: a tally counts the spans up to its watermark only', () => {
    const ledger = new Ledger(() => {})
    const tally = ledger.open(6)
    ledger.batchDelivered(batchOf(5, 4), 0)
    expect(tally).toMatchObject({ exported: 3, error: undefined })
    ledger.batchFailed(batchOf(2, 6), refused)
    expect(tally).toMatchObject({ exported: 3, failed: 1, error: refused })
    ledger.batchFailed(batchOf(2, 7), refused)
    expect(tally).toMatchObject({ failed: 1 })
    expect(ledger).toMatchObject({ exported: 5, failed: 4 })
  })

  it('B51: a tally of a caller that must be dead by now is forgotten, as are those before it', () => {
    const ledger = new Ledger(() => {})
    const now = performance.now()
    const dead = ledger.open(10, now - 1)
    const alive = ledger.open(10, now + 60_000)
    ledger.spanDropped('queue_full', 0, 'queue')
    expect([dead.dropped, alive.dropped]).toEqual([0, 1])
    ledger.open(10)
    ledger.spanDropped('queue_full', 1, 'queue')
    expect([dead.dropped, alive.dropped]).toEqual([0, 2])
  })

  it('B36: rejections are told whole to every tally that their batch touches', () => {
    const ledger = new Ledger(() => {})
    const [touched, whole, none] = [ledger.open(4), ledger.open(100), ledger.open(3)]
    ledger.batchDelivered(batchOf(5, 4), 3, refused)
    expect(touched).toMatchObject({ exported: 0, rejected: 3, error: refused })
    expect(whole).toMatchObject({ exported: 2, rejected: 3 })
    expect(none).toMatchObject({ exported: 0, rejected: 0, error: undefined })
  })
})

describe('pending', () => {
  function openLoop() {
    const { backlog, ledger, queue } = openBacklog((admission) => new Arena(new NameEncoder(), admission))
    const reporter = new Reporter({})
    const pace = new Pace(DEFAULT_RETRY, undefined, undefined)
    const sender = {
      description: { type: 'fake' },
      send: () => new Promise<never>(() => {}),
      shutdown: async () => {},
    }
    const loop = new DrainLoop(
      backlog,
      sender,
      { ledger, pace, sizeLimit: new SizeLimit(), reporter, metrics: undefined },
      {
        maxExportBatchSize: 3,
        maxExportBatchBytes: 1_000_000,
        scheduledDelayMillis: 0,
        roundMillis: 30_000,
        maxAttempts: 5,
      },
    )
    return { backlog, ledger, queue, loop }
  }

  it('B19: is found by walking queue and lease: a span that vanished behind the books is missing from it', async () => {
    const { backlog, ledger, queue, loop } = openLoop()
    for (const name of names(10)) backlog.offer(spanNamed(name))
    loop.flush({ timeoutMillis: 0, openSpans: 0, isShutdown: false })
    expect(loop.inFlight).toBe(3)
    expect(loop.pendingThrough(Infinity)).toBe(10)
    queue.dropOldest()
    queue.dropOldest()
    // The books know nothing of it: a difference would still say 10.
    expect(ledger).toMatchObject({ ended: 10, exported: 0, failed: 0 })
    expect(loop.pendingThrough(Infinity)).toBe(8)
    expect(loop.pendingThrough(5)).toBe(4)
    await loop.flush({ timeoutMillis: 0, openSpans: 0, isShutdown: true })
    expect(loop.pendingThrough(Infinity)).toBe(0)
  })
})
