/** The callers of flush and shutdown: what each of them has to be told, and when. */
import type { FlushResult } from '../../src/types.ts'
import type { Fate, ModelSpan } from './expected-places.ts'

interface Counts {
  exported: number
  rejected: number
  failed: number
  dropped: number
  pending: number
}

/** One call of flush or shutdown. */
export interface ExpectedCall {
  readonly isShutdown: boolean
  readonly calledAt: number
  readonly deadline: number
  /** It does not wait: a timeout of 0, or a signal that was aborted beforehand. */
  readonly isImmediate: boolean
  /** Sampled spans that were open when it called. */
  readonly openSpans: number
  /** The breaker was open, and somebody else's probe on its way. */
  readonly isTurnedAway: boolean
  /** The open spans that it waits for first. */
  readonly waitsFor: Set<string>
  /** The newest span that it covers; infinite while it waits for open spans to end. */
  watermark: number
  isAborted: boolean
  readonly tally: Counts
  /** For a call that does not wait: the numbers as it returned. */
  atReturn: Counts | undefined
  /** Also acceptable: the numbers just before everything was given up. */
  beforeClose: Counts | undefined
  /** Set when the promise is settled; a shutdown has no result. */
  result: FlushResult | 'done' | undefined
}

/** What the rules allow just now. */
export interface Circumstances {
  readonly now: number
  /** No timer is overdue, and nothing else is left to run. */
  readonly isQuiet: boolean
  readonly isClosed: boolean
  readonly isAttempting: boolean
  readonly isOpen: boolean
  /** Earlier failures can hold up the next attempt until then. */
  readonly heldUpUntil: number
  /** They certainly do until then, and the callers know. */
  readonly isHopeless: (call: ExpectedCall) => boolean
  /** The exporter's own flush or shutdown never comes back. */
  readonly flushHangs: boolean
  readonly shutdownHangs: boolean
}

export class ExpectedCalls {
  readonly open = new Set<ExpectedCall>()
  settledShutdowns = 0
  readonly #pendingThrough: (id: number) => number
  readonly #violate: (message: string) => void

  constructor(pendingThrough: (id: number) => number, violate: (message: string) => void) {
    this.#pendingThrough = pendingThrough
    this.#violate = violate
  }

  /** Callers whose deadlines are still to come. */
  get waitingCount(): number {
    return [...this.open].filter((call) => !call.isImmediate).length
  }

  /** The deadline of the most patient shutdown. */
  get shutdownDeadline(): number {
    return Math.max(0, ...[...this.open].filter((call) => call.isShutdown).map((call) => call.deadline))
  }

  get isShuttingDown(): boolean {
    return [...this.open].some((call) => call.isShutdown)
  }

  /** Spans found their fate: every caller that covers one of them hears of it. */
  settled(spans: readonly ModelSpan[], fate: Exclude<Fate, 'rejected'>, rejected: number): void {
    for (const { watermark, tally } of this.open) {
      const covered = spans.filter((span) => span.id <= watermark).length
      if (covered === 0) continue
      if (fate === 'exported') {
        tally.rejected += rejected
        tally.exported += Math.max(0, covered - rejected)
      } else if (fate === 'failed') {
        tally.failed += covered
      } else {
        tally.dropped += covered
      }
    }
  }

  /** Everything that is held is about to be given up; some callers may have heard just before. */
  closing(): void {
    for (const call of this.open) call.beforeClose = this.countsOf(call)
  }

  /** An open span ended. Returns true if a caller had only waited for that. */
  openSpanEnded(spanId: string, newestId: number): boolean {
    let isLast = false
    for (const call of this.open) {
      if (!call.waitsFor.delete(spanId) || call.waitsFor.size > 0) continue
      call.watermark = newestId
      isLast = true
    }
    return isLast
  }

  /** Holds every caller against the rules; those that are settled are done with. */
  check(circumstances: Circumstances): void {
    for (const call of this.open) {
      if (call.result === undefined) {
        if (circumstances.isQuiet) this.#checkWaiting(call, circumstances)
        continue
      }
      this.open.delete(call)
      if (call.isShutdown) this.settledShutdowns++
      if (call.result !== 'done') this.#checkResult(call, call.result, circumstances)
    }
  }

  #checkWaiting(call: ExpectedCall, circumstances: Circumstances): void {
    const { now, isClosed, flushHangs, shutdownHangs } = circumstances
    const name = call.isShutdown ? 'a shutdown' : 'a flush'
    if (call.isImmediate) this.#violate(`${name} that was not to wait is waiting`)
    if (now >= call.deadline) this.#violate(`${name} is waiting beyond its deadline`)
    if (call.isAborted) this.#violate(`${name} is waiting although its signal was aborted`)
    if (call.waitsFor.size > 0) return
    const exporterHangs = (!call.isShutdown && flushHangs) || ((call.isShutdown || isClosed) && shutdownHangs)
    const pending = this.#pendingThrough(call.watermark)
    if (pending === 0 && !exporterHangs) this.#violate(`${name} is waiting for nothing`)
    if (call.isTurnedAway && pending > 0) this.#violate('a flush is waiting for the probe of another')
    if (pending === 0 || circumstances.isAttempting || call.isShutdown) return
    if (circumstances.isHopeless(call)) this.#violate('a flush is waiting without hope')
  }

  #checkResult(call: ExpectedCall, result: FlushResult, circumstances: Circumstances): void {
    const { now, isOpen, heldUpUntil } = circumstances
    const counts = call.atReturn ?? this.countsOf(call)
    const told = countsOf(result)
    const isExpired = call.isImmediate || call.isAborted || now >= call.deadline
    if (!same(told, counts) && !(call.beforeClose && same(told, call.beforeClose))) {
      this.#violate(`a flush was told ${show(told)} and not ${show(counts)}`)
    }
    if (result.openSpans !== call.openSpans) {
      this.#violate(`a flush was told of ${result.openSpans} open spans, not of ${call.openSpans}`)
    }
    if (Math.abs(result.durationMillis - (now - call.calledAt)) > 1e-6) {
      this.#violate(`a flush was told that it took ${result.durationMillis} ms, not ${now - call.calledAt}`)
    }
    const isAllWell = told.rejected + told.failed + told.dropped + told.pending === 0
    const allowed: string[] = []
    if (told.pending === 0) {
      allowed.push(isAllWell ? 'success' : 'failure')
      if (isExpired && !call.isImmediate) allowed.push('timeout')
    } else {
      if (isExpired) allowed.push('timeout')
      const isHopeless = isOpen || heldUpUntil >= call.deadline || call.isTurnedAway
      if (isHopeless && !call.isImmediate && !call.isAborted) allowed.push('failure')
    }
    if (call.isTurnedAway && !isExpired && told.pending > 0 && result.error?.code !== 'circuit_open') {
      this.#violate('a flush was not told that the circuit is open')
    }
    if (!allowed.includes(result.status)) {
      const expected = allowed.join(' or ') || 'no end yet'
      this.#violate(`a flush ended as ${result.status} with ${show(told)}, expected ${expected}`)
    }
    if ((result.status === 'success') !== (result.error === undefined)) {
      this.#violate(`a flush that ended as ${result.status} was told of ${result.error}`)
    }
  }

  countsOf(call: ExpectedCall): Counts {
    return { ...call.tally, pending: this.#pendingThrough(call.watermark) }
  }
}

function countsOf({ exported, rejected, failed, dropped, pending }: Counts): Counts {
  return { exported, rejected, failed, dropped, pending }
}

function same(a: Counts, b: Counts): boolean {
  return show(a) === show(b)
}

function show(counts: Counts): string {
  return JSON.stringify(countsOf(counts))
}
