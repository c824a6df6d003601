/**
 * What the processor may do and what it must, said a second time and without any of its code: which spans are where,
 * when an attempt may start and when it has to, what each caller is told. It is fed with what can be seen from
 * outside (spans that end, what the exporter is given and answers, calls, time) and notes every violation.
 */
import type { FlushResult, PipelineStats } from '../../src/types.ts'
import { type ExpectedCall, ExpectedCalls } from './expected-calls.ts'
import { ExpectedPace, type Purpose, TIMER_GRAIN_MILLIS } from './expected-pace.ts'
import { checkBooks, ExpectedPlaces, idsOf, type ModelSpan, sameIds } from './expected-places.ts'
import { ExpectedReasons } from './expected-reasons.ts'
import { type Answer, ExpectedVerdicts } from './expected-verdicts.ts'
import { attemptMillisOf, isRoundOver, roundMillisOf, type Settings } from './settings.ts'

/** After its abort, a sender that does not settle may be left behind this much later, in milliseconds. */
const LEASE_GRACE_MILLIS = 5000
/** A freeze of this length is noticed, in milliseconds. One between 1000 and this may be; there is none such here. */
const FREEZE_MILLIS = 2500

/** One attempt, from its start until its answer counts or is too late to. */
export interface ModelAttempt {
  readonly startedAt: number
  readonly timeoutMillis: number
  /** False while a stock exporter has not been asked because an earlier export is still running. */
  hasReachedExporter: boolean
  abortedAt: number | undefined
  frozenMillis: number
  wasFrozen: boolean
}

/** What can be seen of the processor at some moment. */
export interface Sight {
  readonly now: number
  readonly stats: PipelineStats
  /** Every timer that is due has fired, and nothing else is left to run. */
  readonly isQuiet: boolean
  readonly timerCount: number
  readonly refedTimerCount: number
  readonly shutdownCount: number
}

export class Model {
  readonly violations: string[] = []
  readonly places: ExpectedPlaces
  readonly pace: ExpectedPace
  readonly calls: ExpectedCalls
  readonly openSpanIds = new Set<string>()
  readonly #settings: Settings
  readonly #verdicts: ExpectedVerdicts
  readonly #reasons: ExpectedReasons
  #attempt: ModelAttempt | undefined
  #lastAnsweredAt = 0
  /** An export that timed out, and may still be running. Stock exporters only. */
  #abandoned: { attempt: ModelAttempt; since: number } | undefined
  /** What the last attempt came to, where nobody answered. */
  timeout: 'left behind' | 'never called back' | undefined
  isShutDown = false
  isClosed = false

  constructor(settings: Settings) {
    this.#settings = settings
    this.pace = new ExpectedPace(settings)
    this.calls = new ExpectedCalls((id) => this.places.pendingThrough(id), this.violate)
    this.places = new ExpectedPlaces(settings, this.calls)
    this.#verdicts = new ExpectedVerdicts(this.places, this.pace, settings)
    this.#reasons = new ExpectedReasons(this.places, settings)
  }

  readonly violate = (message: string): void => {
    this.violations.push(message)
  }

  get isAttempting(): boolean {
    return this.#attempt !== undefined
  }

  /** Whether an answer to this attempt would still count. */
  isListeningTo(attempt: ModelAttempt): boolean {
    return attempt === this.#attempt
  }

  // ── Spans ─────────────────────────────────────────────────────────────────────────────────────────────────────

  spanEnded(span: ModelSpan, isRoot: boolean): void {
    const { exporter, encodeAt, flushOnRootEnd } = this.#settings
    if (this.isShutDown) this.places.refuse('already_shutdown')
    else if (span.isPoison && exporter === 'encoding' && encodeAt === 'end')
      this.places.refuse('encode_error')
    else this.places.arrive(span)
    if (isRoot && flushOnRootEnd && !this.isShutDown) this.#reasons.hurry()
  }

  openSpanEnded(spanId: string): void {
    this.openSpanIds.delete(spanId)
  }

  /** To be told after `spanEnded`: who waited for open spans covers the last of them. */
  openSpanSettled(spanId: string): void {
    if (!this.calls.openSpanEnded(spanId, this.places.newestId)) return
    this.#reasons.hurry()
    if (this.#attempt === undefined) this.pace.cutBackoff()
  }

  // ── Calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

  calling(
    now: number,
    call: Pick<ExpectedCall, 'isShutdown' | 'isImmediate'> & { timeoutMillis: number; waits: boolean },
  ): ExpectedCall {
    const { isShutdown, isImmediate } = call
    // What ends after a shutdown is not sent: nobody waits for it.
    const waitsFor = new Set(call.waits && !this.isShutDown ? this.openSpanIds : [])
    const expected: ExpectedCall = {
      isShutdown,
      isImmediate,
      calledAt: now,
      deadline: now + call.timeoutMillis,
      openSpans: this.openSpanIds.size,
      isTurnedAway: !isShutdown && this.pace.isOpen && this.isAttempting && !this.pace.isClosing,
      waitsFor,
      watermark: waitsFor.size > 0 ? Infinity : this.places.newestId,
      isAborted: false,
      tally: { exported: 0, rejected: 0, failed: 0, dropped: 0, pending: 0 },
      atReturn: undefined,
      beforeClose: undefined,
      result: undefined,
    }
    this.calls.open.add(expected)
    this.#reasons.hurry()
    if (this.#attempt === undefined) this.pace.cutBackoff()
    if (isShutdown) {
      this.isShutDown = true
      this.pace.shutDown()
    }
    return expected
  }

  /** The call itself is over, its promise may not be. */
  called(call: ExpectedCall): void {
    if (call.isImmediate) call.atReturn = this.calls.countsOf(call)
  }

  /** The promise of a call is settled. */
  settled(call: ExpectedCall, result: FlushResult | undefined): void {
    call.result = result ?? 'done'
  }

  // ── Attempts ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** The exporter is given spans. */
  attemptStarted(
    ids: readonly number[],
    timeoutMillis: number | undefined,
    { now, stats }: Sight,
  ): ModelAttempt {
    this.#noticeTimeout(now, stats)
    this.#noticeLeaseExpiry(now)
    if (this.#attempt !== undefined && !this.#attempt.hasReachedExporter) {
      this.#attempt.hasReachedExporter = true
      this.#checkSent(ids)
      return this.#attempt
    }
    if (this.#attempt !== undefined) this.violate(`a second attempt started at ${now}`)
    if (this.isClosed) this.violate(`spans were sent at ${now}, after the shutdown`)
    if (this.#isAbandonedRunning(now))
      this.violate('an export started while an abandoned one may still be running')
    this.#abandoned = undefined
    if (!this.#reasons.maySend(now)) this.violate(`spans ${ids} were sent at ${now} without a reason`)
    this.#reasons.sending(now)
    this.#take()
    this.#checkSent(ids)
    return this.#begin(now, timeoutMillis, true)
  }

  attemptAborted(attempt: ModelAttempt, now: number): void {
    if (
      attempt === this.#attempt &&
      !this.isShutDown &&
      now < attempt.startedAt + attempt.timeoutMillis - 1
    ) {
      this.violate(`an attempt was aborted ${now - attempt.startedAt} ms after its start`)
    }
    attempt.abortedAt ??= now
  }

  /** The exporter answers. Returns false when nobody listens any more. */
  answered(attempt: ModelAttempt, answer: Answer, now: number): boolean {
    if (attempt === this.#abandoned?.attempt) this.#abandoned = undefined
    if (attempt !== this.#attempt || this.places.held === undefined) return false
    this.#attempt = undefined
    this.#lastAnsweredAt = now
    this.#verdicts.answered(answer, attempt.wasFrozen, now)
    return true
  }

  /** The process stood still. */
  froze(millis: number): void {
    const attempt = this.#attempt
    if (attempt === undefined || attempt.abortedAt !== undefined) return
    // Its time goes on afterwards, and for a second at least.
    attempt.frozenMillis += millis + 1000
    if (millis >= FREEZE_MILLIS) attempt.wasFrozen = true
  }

  /** Time has come this far; what is due now fires afterwards. */
  timePassed(now: number): void {
    this.#reasons.timePassed(now)
  }

  // ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Holds the processor against the model. */
  look(sight: Sight): void {
    const { now, stats, isQuiet } = sight
    this.#noticePoison(stats)
    this.#noticeTimeout(now, stats)
    const givenUp = stats.dropped.shutdown_timeout - this.places.dropped.shutdown_timeout
    // Where several timers are overdue, the books tell which of them has fired.
    const isOther = stats.pending !== this.places.pending || stats.inFlight !== this.places.outCount
    const leaseEndsAt = (this.#attempt?.abortedAt ?? Infinity) + LEASE_GRACE_MILLIS
    const isFirst = leaseEndsAt < this.calls.shutdownDeadline
    const mayHaveExpired = givenUp === 0 || givenUp < this.places.pending || isFirst
    if ((isQuiet || isOther) && mayHaveExpired) this.#noticeLeaseExpiry(now)
    this.#noticeClose(sight)
    this.#noticePoison(stats)
    if (this.places.held === undefined && stats.inFlight > 0) this.#noticeWaitForAbandoned(now)
    checkBooks(stats, this.places, this.openSpanIds.size, this.#settings, this.violate)
    this.calls.check({
      now,
      isQuiet,
      isClosed: this.isClosed,
      isAttempting: this.isAttempting,
      isOpen: this.pace.isOpen,
      // A lease that has just run out, unseen as yet, holds up the next attempt by a time not known as yet.
      heldUpUntil: !isQuiet && now >= leaseEndsAt ? Infinity : this.pace.heldUpUntil,
      isHopeless: (call) => this.#isHopeless(call, now),
      flushHangs: this.#settings.forceFlush === 'hangs',
      shutdownHangs: this.#settings.shutdown === 'hangs',
    })
    if (isQuiet) this.#checkRest(sight)
    if (isQuiet && !this.#isAbandonedRunning(now)) this.#abandoned = undefined
    if (!isQuiet) return
    this.#reasons.rest(now, {
      isAttempting: this.isAttempting,
      isHeldUp: now < this.pace.latestStart(this.#purpose),
      turnsUntil: this.#lastAnsweredAt + TIMER_GRAIN_MILLIS,
    })
  }

  /** A reason to send and nothing that speaks against it: then an attempt is on its way. */
  #checkIsSending(now: number): void {
    if (this.isAttempting || this.isClosed || !this.#reasons.mustSend || this.#isAbandonedRunning(now)) return
    // After some brief exports in a row the loop lets the event loop turn.
    const latest = Math.max(this.pace.latestStart(this.#purpose), this.#lastAnsweredAt)
    if (now >= latest + TIMER_GRAIN_MILLIS || latest <= 0) this.violate(`nothing is sent at ${now}`)
  }

  // ── What came of it ───────────────────────────────────────────────────────────────────────────────────────────

  get #purpose(): Purpose {
    return { shutdownDeadline: this.calls.shutdownDeadline, isDeciding: this.#verdicts.isDeciding }
  }

  /** The batch that is out goes again, or the next one is taken. */
  #take(): void {
    const { places } = this
    while (places.held === undefined && places.waitingCount > 0) places.held = places.take()
  }

  #checkSent(ids: readonly number[]): void {
    if (!sameIds(ids, this.places.held)) this.violate(`sent [${ids}] instead of ${idsOf(this.places.held)}`)
  }

  #begin(now: number, timeoutMillis: number | undefined, hasReachedExporter: boolean): ModelAttempt {
    const why = this.pace.whyNot(now, this.#purpose)
    if (why !== undefined) this.violate(`an attempt started at ${now} although ${why}`)
    this.pace.attemptStarted(now)
    this.#reasons.attemptStarted()
    const piece = this.places.held
    const roundMillis = roundMillisOf(this.#settings)
    if (piece !== undefined && isRoundOver(piece.roundStartedAt, now, this.#settings))
      piece.roundStartedAt = now
    const roundLeft = (piece?.roundStartedAt ?? now) + roundMillis - now
    const bound = Math.min(attemptMillisOf(this.#settings), roundLeft)
    if (Math.abs((timeoutMillis ?? bound) - bound) > 1e-6) {
      this.violate(`an attempt was given ${timeoutMillis} ms instead of ${bound}`)
    }
    this.#attempt = {
      startedAt: now,
      timeoutMillis: timeoutMillis ?? bound,
      hasReachedExporter,
      abortedAt: undefined,
      frozenMillis: 0,
      wasFrozen: false,
    }
    return this.#attempt
  }

  /** A stock exporter that does not call back is seen only in the books. */
  #noticeTimeout(now: number, stats: PipelineStats): void {
    const attempt = this.#attempt
    if (this.#settings.exporter !== 'stock' || attempt === undefined) return
    if (stats.failed <= this.places.counts.failed) return
    if (now < attempt.startedAt + attempt.timeoutMillis - 1) {
      this.violate(`an export was given up ${now - attempt.startedAt} ms after its start`)
    }
    if (attempt.hasReachedExporter) this.#abandoned = { attempt, since: now }
    this.#attempt = undefined
    this.timeout = 'never called back'
    this.pace.answered()
    this.places.heldSettled('failed')
  }

  /** Batches of nothing that can be encoded are dropped as they are taken. */
  #noticePoison(stats: PipelineStats): void {
    const { places } = this
    const hasDropped = () => stats.dropped.encode_error > places.dropped.encode_error
    while (places.held === undefined && places.waitingCount > 0 && hasDropped()) places.held = places.take()
  }

  /** The loop has taken a batch, but the exporter is still busy with one that was given up. */
  #noticeWaitForAbandoned(now: number): void {
    if (this.#abandoned === undefined) this.violate('a batch was taken and not sent')
    this.#take()
    this.#begin(now, undefined, false)
  }

  /** A sender that ignores its abort is left behind. */
  #noticeLeaseExpiry(now: number): void {
    const attempt = this.#attempt
    if (attempt?.abortedAt === undefined || this.isClosed) return
    if (now < attempt.abortedAt + LEASE_GRACE_MILLIS) return
    this.answered(attempt, { kind: 'retryable' }, now)
    this.timeout = 'left behind'
  }

  #noticeClose({ now, stats, shutdownCount }: Sight): void {
    if (this.isClosed || !this.isShutDown) return
    const isGivenUp = stats.dropped.shutdown_timeout > this.places.dropped.shutdown_timeout
    if (!isGivenUp && shutdownCount === 0) return
    if (isGivenUp) this.#checkGivingUp(now)
    this.isClosed = true
    this.#attempt = undefined
    this.calls.closing()
    this.places.giveUp()
  }

  /** Only when no shutdown has time left, or a use for it. */
  #checkGivingUp(now: number): void {
    for (const call of this.calls.open) {
      if (!call.isShutdown || call.isImmediate || call.isAborted || now >= call.deadline) continue
      if (call.deadline <= this.pace.heldUpUntil) continue
      this.violate(`spans were given up at ${now} although a shutdown waits until ${call.deadline}`)
    }
  }

  #isHopeless(call: ExpectedCall, now: number): boolean {
    if (this.pace.isClosing || this.#purpose.isDeciding) return false
    if (call.isTurnedAway) return true
    if (this.pace.isOpen && now < this.pace.probeDueAt) return true
    return this.pace.serverDelayUntil >= call.deadline && now < this.pace.serverDelayUntil
  }

  #isAbandonedRunning(now: number): boolean {
    return this.#abandoned !== undefined && now < this.#abandoned.since + LEASE_GRACE_MILLIS
  }

  // ── Holding against ───────────────────────────────────────────────────────────────────────────────────────────

  /** What holds when nothing is left to run until time goes on. */
  #checkRest({ now, timerCount, refedTimerCount, shutdownCount }: Sight): void {
    this.#checkIsSending(now)
    const attempt = this.#attempt
    if (attempt !== undefined) {
      const isLate =
        now >= attempt.startedAt + attempt.timeoutMillis + attempt.frozenMillis + TIMER_GRAIN_MILLIS
      if (isLate && attempt.abortedAt === undefined)
        this.violate(`an attempt goes on at ${now}, beyond its time`)
    }
    const waiting = this.calls.waitingCount
    const mayTurn = now < this.#lastAnsweredAt + TIMER_GRAIN_MILLIS
    if (refedTimerCount > waiting + (mayTurn ? 1 : 0))
      this.violate('a timer that nobody waits for keeps the process alive')
    if (shutdownCount > 1) this.violate('the exporter was shut down twice')
    const isOver = this.calls.settledShutdowns > 0 && !this.calls.isShuttingDown
    if (isOver && shutdownCount === 0) this.violate('the exporter was not shut down')
    if (isOver && !this.isClosed) this.violate('a shutdown ended, and the processor goes on')
    const isIdle = !this.isAttempting && (this.isClosed || !this.#reasons.maySend(now))
    if (!isIdle || this.#isAbandonedRunning(now)) return
    const hasSchedule =
      !this.isClosed && this.#settings.scheduledDelayMillis > 0 && this.places.waitingCount > 0
    const expected = waiting + (hasSchedule ? 1 : 0)
    // A pause outlives its reason if the spans that were to be sent have been pushed out.
    const isPausing =
      this.places.waitingCount > 0 && now < this.pace.latestStart(this.#purpose) && !hasSchedule
    if (timerCount === expected || ((isPausing || mayTurn) && timerCount === expected + 1)) return
    this.violate(`${timerCount} timers run at ${now}, not ${expected}`)
  }
}
