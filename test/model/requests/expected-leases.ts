/** Which request has which spans, and what may become of them: said without any code of the drains. */
import { ExpectedPace } from '../expected-pace.ts'
import type { Answer } from '../expected-verdicts.ts'
import { attemptMillisOf, isRoundOver, roundMillisOf, type Settings, sendsOnce } from '../settings.ts'
import type { SimulatedRequest } from './request.ts'

/** A request that is dead looks alive for so long at least, in milliseconds. */
const MIN_SILENCE_MILLIS = 5000
/** A freeze of this length is noticed, in milliseconds. One between 1000 and this may be; there is none such here. */
const FREEZE_MILLIS = 2500
const ROUNDING = 1e-6

export interface LeasedSpan {
  readonly id: number
  readonly size: number
  /** It has its place in the ledger, and must not be sent again. */
  isSettled: boolean
  /** Attempts that came to nothing, and when the last one did, counted in answers. */
  failures: number
  failedAt: number
  /** A round of attempts at it was over before its attempts were used up. */
  ranOutOfTime: boolean
}

/** What a request has taken and not settled. */
interface Lease {
  spans: LeasedSpan[]
  roundStartedAt: number
  hadFreeRetry: boolean
  /** It is the neighbour of a suspect. */
  isDeciding: boolean
}

export interface RequestAttempt {
  readonly request: SimulatedRequest
  readonly spans: readonly LeasedSpan[]
  readonly startedAt: number
  readonly timeoutMillis: number
  wasFrozen: boolean
}

/** A retryable answer, of which it is to be seen whether the batch was given up with it. */
interface OpenVerdict {
  readonly attempt: RequestAttempt
  readonly lease: Lease
  readonly answer: Answer & { kind: 'retryable' }
  readonly now: number
}

/** Hears where spans went. */
export interface Fates {
  settled(spans: readonly LeasedSpan[], fate: 'exported' | 'failed' | 'dropped', rejected: number): void
}

/** May it send what it sends, when it sends it? */
export class ExpectedLeases {
  readonly pace: ExpectedPace
  readonly counts = { exported: 0, rejected: 0, failed: 0, tooLarge: 0, exhausted: 0 }
  readonly #settings: Settings
  readonly #violate: (message: string) => void
  readonly #fates: Fates
  readonly #leases = new Map<SimulatedRequest, Lease>()
  readonly #attempts = new Map<SimulatedRequest, RequestAttempt>()
  /** What a request had when it failed, and may have kept: until it sends again, or the event loop turns. */
  readonly #failed = new Map<SimulatedRequest, { lease: Lease; spans: readonly LeasedSpan[] }>()
  /** Answers that showed that the backend is there, by request: the number of the last one. */
  readonly #gotThrough = new Map<SimulatedRequest, number>()
  #verdict: OpenVerdict | undefined
  #answers = 0
  isClosing = false

  constructor(settings: Settings, violate: (message: string) => void, fates: Fates) {
    this.#settings = settings
    this.#violate = violate
    this.#fates = fates
    this.pace = new ExpectedPace(settings)
  }

  attemptOf(request: SimulatedRequest): RequestAttempt | undefined {
    return this.#attempts.get(request)
  }

  /** Somebody, dead or alive, has begun an attempt in this period of the open breaker, and has no answer yet. */
  isAnybodyProbing(now: number): boolean {
    const { circuitBreaker } = this.#settings
    if (circuitBreaker === false || !this.pace.isOpen) return false
    const since = Math.max(this.pace.probeDueAt, now - circuitBreaker.probeIntervalMillis + ROUNDING)
    return [...this.#attempts.values()].some(({ startedAt }) => startedAt >= since)
  }

  /** Spans that are out: those of the living certainly, those of the dead until somebody takes them over. */
  outCount(): { least: number; most: number } {
    let [least, most] = [0, 0]
    for (const [request, { spans }] of this.#leases) {
      most += spans.length
      if (request.isAlive) least += spans.length
    }
    return { least, most }
  }

  get outBytes(): number {
    let bytes = 0
    for (const { spans } of this.#leases.values()) bytes += bytesOf(spans)
    return bytes
  }

  /** @param cutBackoff - Asked if there is a backoff: whether a flush of this request may cut it short. */
  attemptStarted(
    request: SimulatedRequest,
    spans: readonly LeasedSpan[],
    timeoutMillis: number,
    now: number,
    cutBackoff: () => boolean,
  ): RequestAttempt {
    if (!request.isAlive) this.#violate(`request ${request.id} sends, and is dead`)
    if (this.#attempts.has(request)) this.#violate(`request ${request.id} sends twice at a time`)
    this.#checkBatch(spans)
    for (const span of spans) this.#checkIsFree(span, request, now)
    const failed = this.#failed.get(request)
    this.#failed.delete(request)
    const isNeighbour = failed !== undefined && !failed.spans.some((span) => spans.includes(span))
    if (isNeighbour) this.#checkMayDecide(failed.spans)
    const isDeciding = isNeighbour || failed?.lease.isDeciding === true
    this.#checkPace(now, isDeciding, cutBackoff)
    this.pace.attemptStarted(now)
    const lease = this.#leaseFor(request, spans, isNeighbour ? undefined : failed?.lease)
    lease.isDeciding = isDeciding
    if (isRoundOver(lease.roundStartedAt, now, this.#settings)) lease.roundStartedAt = now
    const roundLeft = lease.roundStartedAt + roundMillisOf(this.#settings) - now
    const bound = Math.min(attemptMillisOf(this.#settings), roundLeft)
    if (Math.abs(timeoutMillis - bound) > 1e-6) {
      this.#violate(`an attempt was given ${timeoutMillis} ms instead of ${bound}`)
    }
    const attempt = { request, spans, startedAt: now, timeoutMillis, wasFrozen: false }
    this.#attempts.set(request, attempt)
    return attempt
  }

  /** Returns false when nobody listens any more. */
  answered(attempt: RequestAttempt, answer: Answer, now: number): boolean {
    const { request, spans } = attempt
    const lease = this.#leases.get(request)
    if (this.#attempts.get(request) !== attempt || lease === undefined) return false
    this.#attempts.delete(request)
    this.#answers++
    if (answer.kind === 'retryable') {
      this.#verdict = { attempt, lease, answer, now }
      return true
    }
    this.pace.answered()
    this.#gotThrough.set(request, this.#answers)
    const rejected = answer.kind === 'delivered' ? Math.min(answer.rejected, spans.length) : 0
    if (answer.kind === 'delivered') {
      this.counts.exported += spans.length - rejected
      this.counts.rejected += rejected
      this.#settle(request, spans, 'exported', rejected)
    } else if (answer.kind === 'final') {
      this.counts.failed += spans.length
      this.#settle(request, spans, 'failed')
    } else if (spans.length === 1) {
      this.counts.tooLarge++
      this.#settle(request, spans, 'dropped')
    } else {
      // Its halves are batches of their own.
      lease.roundStartedAt = -Infinity
      lease.hadFreeRetry = false
    }
    return true
  }

  /** The books say what came of the last retryable answer. */
  booksShow(exhausted: number): void {
    const given = exhausted - this.counts.exhausted
    const verdict = this.#verdict
    this.#verdict = undefined
    if (verdict === undefined) {
      if (given !== 0) this.#violate(`${given} spans were given up as retry_exhausted, out of the blue`)
      return
    }
    const { attempt, lease, answer, now } = verdict
    const { request, spans, wasFrozen } = attempt
    const isConvicted = given > 0
    const isDeadSocket = answer.staleSocket === true || wasFrozen
    if (isDeadSocket && answer.retryAfterMillis === undefined && !lease.hadFreeRetry) {
      if (isConvicted) this.#violate('a batch was given up for a dead socket')
      lease.hadFreeRetry = true
      this.#keep(request, lease, spans)
      return
    }
    for (const span of spans) span.failures++
    if (isConvicted) this.#checkConviction(request, spans, given)
    if (sendsOnce(this.#settings) && !isConvicted) this.#violate('a batch is sent again without retries')
    // What a convicted batch fails with is its own, and says nothing about the backend.
    if (isConvicted && !sendsOnce(this.#settings)) this.pace.askedForPatience(now, answer.retryAfterMillis)
    else this.pace.failed({ now, wasFrozen, retryAfterMillis: answer.retryAfterMillis })
    lease.hadFreeRetry = lease.isDeciding = false
    const nextAt = now + this.pace.nominalBackoffMillis
    const isOver = isRoundOver(lease.roundStartedAt, nextAt, this.#settings)
    for (const span of spans) {
      span.failedAt = this.#answers
      span.ranOutOfTime ||= isOver
    }
    if (isConvicted) {
      this.counts.exhausted += given
      this.#settle(request, spans, 'dropped')
    } else {
      this.#keep(request, lease, spans)
    }
  }

  /** The attempt was cut short with its request's last flush: what it held is anybody's. */
  handedBack(request: SimulatedRequest): void {
    this.#attempts.delete(request)
    this.#leases.delete(request)
  }

  /** A turn of the event loop is over. Who has kept anything would have sent it, or its neighbour: nobody pauses with it. */
  turned(exhausted: number): void {
    this.booksShow(exhausted)
    this.#failed.clear()
    for (const request of this.#leases.keys()) if (!this.#attempts.has(request)) this.#leases.delete(request)
  }

  /** Everything is given up. */
  closed(): void {
    this.#attempts.clear()
    this.#leases.clear()
    this.#verdict = undefined
  }

  froze(millis: number): void {
    for (const [request, attempt] of this.#attempts) {
      if (millis >= FREEZE_MILLIS && request.isAlive) attempt.wasFrozen = true
    }
  }

  // ── What may be sent ──────────────────────────────────────────────────────────────────────────────────────────

  #checkBatch(spans: readonly LeasedSpan[]): void {
    const { maxExportBatchSize, maxExportBatchBytes } = this.#settings
    if (spans.length === 0) this.#violate('nothing was sent')
    if (spans.length > maxExportBatchSize) this.#violate(`${spans.length} spans were sent at once`)
    if (spans.length > 1 && bytesOf(spans) > maxExportBatchBytes)
      this.#violate(`${bytesOf(spans)} bytes were sent at once`)
    const isInOrder = spans.every((span, i) => i === 0 || span.id > (spans[i - 1] as LeasedSpan).id)
    if (!isInOrder) this.#violate('a batch is out of order')
  }

  #checkIsFree(span: LeasedSpan, request: SimulatedRequest, now: number): void {
    if (span.isSettled) this.#violate(`span ${span.id} was sent again, although it is settled`)
    for (const [owner, { spans }] of this.#leases) {
      if (owner === request || !spans.includes(span)) continue
      if (owner.diedAt === undefined) {
        this.#violate(`span ${span.id} was sent while live request ${owner.id} has it`)
      } else if (now - owner.diedAt < MIN_SILENCE_MILLIS) {
        this.#violate(`request ${owner.id} was taken for dead after ${now - owner.diedAt} ms`)
      }
      // Taken over, whole.
      this.handedBack(owner)
    }
  }

  /** A batch that was cut goes on piece by piece; one that failed may be tried again by the same request. */
  #leaseFor(request: SimulatedRequest, spans: readonly LeasedSpan[], kept: Lease | undefined): Lease {
    const lease = this.#leases.get(request) ?? kept
    if (lease !== undefined && startsWith(lease.spans, spans)) {
      this.#leases.set(request, lease)
      return lease
    }
    if (this.#leases.has(request)) this.#violate(`request ${request.id} sends other spans than it has taken`)
    const fresh = { spans: [...spans], roundStartedAt: -Infinity, hadFreeRetry: false, isDeciding: false }
    this.#leases.set(request, fresh)
    return fresh
  }

  #checkPace(now: number, isDeciding: boolean, cutBackoff: () => boolean): void {
    if (this.isClosing) return
    if (!isDeciding && this.isAnybodyProbing(now)) {
      this.#violate('the open breaker let a second probe through')
    }
    const purpose = { shutdownDeadline: 0, isDeciding }
    let why = this.pace.whyNot(now, purpose)
    if (why?.startsWith('the backoff') && cutBackoff()) {
      this.pace.cutBackoff()
      why = this.pace.whyNot(now, purpose)
    }
    if (why !== undefined) this.#violate(`an attempt started at ${now} although ${why}`)
  }

  /** A neighbour is tried only when the batch has used up its attempts, or its time. */
  #checkMayDecide(suspect: readonly LeasedSpan[]): void {
    const { retry } = this.#settings
    const attempts = retry === false ? 1 : retry.maxAttempts
    for (const { id, failures, ranOutOfTime } of suspect) {
      if (failures < attempts - 1 && !ranOutOfTime)
        this.#violate(`span ${id} became a suspect after ${failures} attempts`)
    }
  }

  #checkConviction(request: SimulatedRequest, spans: readonly LeasedSpan[], given: number): void {
    if (given !== spans.length) this.#violate(`${given} spans were given up of a batch of ${spans.length}`)
    if (sendsOnce(this.#settings)) return
    const { retry } = this.#settings
    const attempts = retry === false ? 1 : retry.maxAttempts
    const gotThrough = this.#gotThrough.get(request) ?? -1
    for (const { id, failures, failedAt, ranOutOfTime } of spans) {
      if (failures < (ranOutOfTime ? 2 : attempts)) {
        this.#violate(`span ${id} was given up after ${failures} attempts`)
      }
      if (gotThrough < failedAt) this.#violate(`span ${id} was given up in what may be an outage`)
    }
  }

  // ── What became of it ─────────────────────────────────────────────────────────────────────────────────────────

  #settle(
    request: SimulatedRequest,
    spans: readonly LeasedSpan[],
    fate: 'exported' | 'failed' | 'dropped',
    rejected = 0,
  ): void {
    for (const span of spans) span.isSettled = true
    const lease = this.#leases.get(request)
    if (lease !== undefined) {
      lease.spans = lease.spans.filter((span) => !span.isSettled)
      lease.roundStartedAt = -Infinity
      lease.hadFreeRetry = false
      if (lease.spans.length === 0) this.#leases.delete(request)
    }
    this.#fates.settled(spans, fate, rejected)
  }

  /** It is either tried again within this instant, or free for anybody. */
  #keep(request: SimulatedRequest, lease: Lease, spans: readonly LeasedSpan[]): void {
    this.#leases.delete(request)
    this.#failed.set(request, { lease, spans })
  }
}

function bytesOf(spans: readonly LeasedSpan[]): number {
  return spans.reduce((bytes, { size }) => bytes + size, 0)
}

function startsWith(all: readonly LeasedSpan[], first: readonly LeasedSpan[]): boolean {
  return first.every((span, i) => span === all[i])
}
