/** What each caller of a flush has to be told, and when: said without any code of the drains. */
import type { FlushResult } from '../../../src/types.ts'
import { TIMER_GRAIN_MILLIS } from '../expected-pace.ts'
import type { LeasedSpan } from './expected-leases.ts'
import type { SimulatedRequest } from './request.ts'

/** Who waits for what others have looks at least this often, in milliseconds, give or take the grain of timers. */
const MAX_POLL_MILLIS = 250

export interface ExpectedFlush {
  readonly request: SimulatedRequest
  readonly calledAt: number
  readonly deadline: number
  readonly isImmediate: boolean
  /** It ends its request. */
  readonly isLast: boolean
  readonly watermark: number
  /** What was pending when it was called, all of which it covers; as it returned, where it does not wait. */
  pendingAtCall: number
  /** It is known as it calls that nothing can be sent before a probe is due, or that somebody else probes. */
  readonly isTurnedAway: boolean
  isAborted: boolean
  /** It has not yet cut a backoff short, as each of them may once. */
  mayCutBackoff: boolean
  /** Spans that it covers whose fate is known: where they went, as the books have it. */
  readonly told: { exported: number; rejected: number; failed: number; dropped: number }
  /** How many of them were in batches that were taken, rejected spans or not. */
  taken: number
  result: FlushResult | undefined
}

/** What the rules depend on just now. */
export interface Circumstances {
  readonly now: number
  readonly isClosing: boolean
  readonly isOpen: boolean
  /** Earlier failures can hold up the next attempt until then. */
  readonly heldUpUntil: number
}

export class ExpectedFlushes {
  readonly open = new Set<ExpectedFlush>()
  readonly #violate: (message: string) => void
  #emptySince: number | undefined

  constructor(violate: (message: string) => void) {
    this.#violate = violate
  }

  of(request: SimulatedRequest): ExpectedFlush[] {
    return [...this.open].filter((flush) => flush.request === request)
  }

  /** Whether a flush of this request may cut the backoff short, once. Which one did is not to be seen: the others still may. */
  cutBackoff(request: SimulatedRequest): boolean {
    const able = this.of(request).filter(({ mayCutBackoff }) => mayCutBackoff)
    const [flush] = able.sort((a, b) => a.deadline - b.deadline)
    if (flush !== undefined) flush.mayCutBackoff = false
    return flush !== undefined
  }

  settled(spans: readonly LeasedSpan[], fate: 'exported' | 'failed' | 'dropped', rejected: number): void {
    for (const flush of this.open) {
      const covered = spans.filter(({ id }) => id <= flush.watermark).length
      if (covered === 0 || flush.result !== undefined) continue
      if (fate === 'exported') {
        flush.taken += covered
        flush.told.rejected += rejected
        flush.told.exported += Math.max(0, covered - rejected)
      } else {
        flush.told[fate] += covered
      }
    }
  }

  /** Nobody waits any more. */
  died(request: SimulatedRequest): void {
    for (const flush of this.of(request)) this.open.delete(flush)
  }

  /** The promise is settled: holds the result against the rules. */
  resolved(flush: ExpectedFlush, result: FlushResult, circumstances: Circumstances): void {
    flush.result = result
    if (!flush.request.isAlive) this.#violate(`a flush of request ${flush.request.id} ended, which is dead`)
    this.open.delete(flush)
    this.#checkCounts(flush, result)
    this.#checkStatus(flush, result, circumstances)
  }

  /** Everything that is due has happened. */
  checkWaiting(pending: number, now: number): void {
    if (pending > 0) this.#emptySince = undefined
    else this.#emptySince ??= now
    const emptySince = this.#emptySince ?? Infinity
    for (const { isImmediate, isAborted, isTurnedAway, calledAt, deadline, request } of this.open) {
      const name = `a flush of request ${request.id}`
      if (isImmediate) this.#violate(`${name} that was not to wait is waiting`)
      if (isAborted) this.#violate(`${name} is waiting although its signal was aborted`)
      if (now >= deadline) this.#violate(`${name} is waiting beyond its deadline`)
      if (isTurnedAway) this.#violate(`${name} is waiting although the breaker is open`)
      if (now > Math.max(emptySince, calledAt) + MAX_POLL_MILLIS + TIMER_GRAIN_MILLIS)
        this.#violate(`${name} is waiting for nothing`)
    }
  }

  #checkCounts({ told, taken, pendingAtCall, watermark }: ExpectedFlush, result: FlushResult): void {
    const { exported, rejected, failed, dropped, pending } = result
    const isKnown = exported === told.exported && rejected === told.rejected && failed === told.failed
    // Which spans the caps have pushed out is not for anybody to see: they are what is missing from the sum.
    if (!isKnown || dropped < told.dropped || taken + failed + dropped + pending !== pendingAtCall) {
      this.#violate(
        `a flush up to ${watermark} of ${pendingAtCall} spans was told ${JSON.stringify(result)}, not ${JSON.stringify(told)}`,
      )
    }
  }

  #checkStatus(flush: ExpectedFlush, result: FlushResult, circumstances: Circumstances): void {
    const { status, rejected, failed, dropped, pending, error, durationMillis } = result
    const { now, isClosing, isOpen, heldUpUntil } = circumstances
    const isExpired = flush.isImmediate || flush.isAborted || now >= flush.deadline
    const isAllWell = rejected + failed + dropped + pending === 0
    const allowed: string[] = []
    if (pending === 0) {
      allowed.push(isAllWell ? 'success' : 'failure')
      if (isExpired && !flush.isImmediate) allowed.push('timeout')
    } else {
      if (isExpired) allowed.push('timeout')
      // After a freeze it may hear that it is no use before it hears that time is up.
      const isHopeless = isOpen || heldUpUntil >= flush.deadline || isClosing
      if (isHopeless && !flush.isImmediate && !flush.isAborted) allowed.push('failure')
    }
    if (!allowed.includes(status)) {
      this.#violate(
        `a flush ended as ${JSON.stringify(result)}, expected ${allowed.join(' or ') || 'no end'}`,
      )
    }
    if (flush.isTurnedAway && pending > 0 && !isExpired && error?.code !== 'circuit_open')
      this.#violate('a flush was not told that the circuit is open')
    if (error?.code === 'circuit_open' && !isOpen) this.#violate('a flush was told of an open circuit')
    if ((status === 'success') !== (error === undefined)) this.#violate(`a ${status} came with ${error}`)
    if (Math.abs(durationMillis - (now - flush.calledAt)) > 1e-6)
      this.#violate(`a flush was told that it took ${durationMillis} ms, not ${now - flush.calledAt}`)
  }
}
