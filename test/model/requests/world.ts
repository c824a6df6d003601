/** Requests that share a processor, on a simulated clock, with the model looking on after every event. */
import { BatchSpanProcessor } from '../../../src/processor.ts'
import { ENDS_REQUEST } from '../../../src/request.ts'
import type { ExportError, PipelineStats } from '../../../src/types.ts'
import {
  type CollectorListener,
  collectorExporter,
  ENCODING_OUTCOMES,
  meaningOf,
  modelSpan,
  type Reply,
  type Request,
} from '../collector.ts'
import { optionsOf, type Settings } from '../settings.ts'
import { SimulatedClock, turn } from '../simulated-clock.ts'
import { type ExpectedFlush, ExpectedFlushes } from './expected-flushes.ts'
import { ExpectedLeases, type LeasedSpan, type RequestAttempt } from './expected-leases.ts'
import { installRequests, runningRequest, SimulatedRequest, uninstallRequests } from './request.ts'

/** What the last export came to, in the terms of the report. */
export const SEEN_OUTCOMES = [
  'nothing sent',
  ...ENCODING_OUTCOMES.filter((kind) => kind !== 'throws'),
  'timed out',
  'cut short',
  'died',
] as const

export type SeenOutcome = (typeof SEEN_OUTCOMES)[number]

/** What the collector does with what comes next: answers after so many milliseconds, or waits to be told. */
export interface Behaviour {
  readonly reply: Reply | undefined
  readonly latencyMillis: number
}

interface PendingExport {
  readonly attempt: RequestAttempt
  readonly request: Request
  /** Due as soon as everything else has run. */
  reply: Reply | undefined
  isAnswered: boolean
}

interface OpenFlush {
  readonly flush: ExpectedFlush
  readonly controller: AbortController
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

const DELIVERED: Reply = { kind: 'delivered', rejected: 0, retryAfterMillis: 0 }
const HISTORY_LINES = 60
const MAX_LIVE = 4

export class World implements CollectorListener {
  readonly clock: SimulatedClock
  readonly settings: Settings
  commandCount = 0
  lastOutcome: SeenOutcome = 'nothing sent'
  /** When the process last stood still. */
  thawedAt = 0
  behaviour: Behaviour = { reply: undefined, latencyMillis: 0 }
  /** Told of each command before it runs. */
  onCommand: (kind: string) => void = () => {}
  readonly #leases: ExpectedLeases
  readonly #flushes: ExpectedFlushes
  readonly #processor: BatchSpanProcessor
  readonly #clear: (timer: unknown) => void
  readonly #spans: LeasedSpan[] = []
  /** Spans that the collector will never take, whatever else it does. */
  readonly #bad = new Set<number>()
  readonly #requests: SimulatedRequest[] = []
  #exports: PendingExport[] = []
  readonly #openFlushes = new Set<OpenFlush>()
  /** Until when a drain that nobody waits for may be at work. */
  readonly #unattendedUntil = new Map<SimulatedRequest, number>()
  readonly #history: string[] = []
  readonly #violations: string[] = []
  #shutdownCount = 0
  #isShutDown = false

  constructor(settings: Settings) {
    this.settings = settings
    this.#flushes = new ExpectedFlushes(this.#violate)
    this.#leases = new ExpectedLeases(settings, this.#violate, this.#flushes)
    this.clock = new SimulatedClock(settings.hasNumericTimers)
    this.clock.install()
    this.#clear = installRequests(this.clock).clear
    this.#processor = new BatchSpanProcessor(collectorExporter(settings, this), {
      ...optionsOf(settings),
      requestScoped: true,
    })
  }

  readonly #violate = (message: string): void => {
    this.#violations.push(message)
  }

  begin(kind: string, detail: string): void {
    this.commandCount++
    this.#note(`> ${kind} ${detail}`)
    this.onCommand(kind)
  }

  // ── What a command can do ─────────────────────────────────────────────────────────────────────────────────────

  beginRequest(): SimulatedRequest {
    const request = new SimulatedRequest(this.#requests.length, this.#violate)
    this.#requests.push(request)
    return request
  }

  /** @param request - Where they end; `undefined`: outside of any request. */
  endSpans(request: SimulatedRequest | undefined, count: number, size: number, isBad = false): void {
    const end = () => {
      for (let i = 0; i < count; i++) this.#endSpan(size, isBad)
    }
    if (request === undefined) end()
    else request.run(end)
  }

  flush(
    request: SimulatedRequest,
    timeoutMillis: number,
    { isLast = false, isAborted = false }: { isLast?: boolean; isAborted?: boolean } = {},
  ): ExpectedFlush {
    const controller = new AbortController()
    if (isAborted) controller.abort()
    const { now } = this.clock
    const { pending } = this.#look(false)
    const isImmediate = timeoutMillis === 0 || isAborted
    const flush: ExpectedFlush = {
      request,
      calledAt: now,
      deadline: now + timeoutMillis,
      isImmediate,
      isLast,
      watermark: this.#spans.length - 1,
      pendingAtCall: pending,
      isTurnedAway: pending > 0 && !isImmediate && this.#isTurnedAway(now),
      isAborted,
      mayCutBackoff: true,
      told: { exported: 0, rejected: 0, failed: 0, dropped: 0 },
      taken: 0,
      result: undefined,
    }
    this.#flushes.open.add(flush)
    const open = { flush, controller }
    if (isImmediate) this.#unattendedUntil.set(request, now + this.settings.exportTimeoutMillis)
    else this.#openFlushes.add(open)
    const { signal } = controller
    const options = { timeoutMillis, signal, ...(isLast && { [ENDS_REQUEST]: true }) }
    const promise = request.run(() => this.#processor.flush(options))
    // It has the drain started, which may find that somebody has died, and that there is no room for what he had.
    if (isImmediate) flush.pendingAtCall = this.#processor.stats().pending
    promise.then(
      (result) => {
        this.#openFlushes.delete(open)
        this.#note(`request ${request.id}: ${JSON.stringify(result)}`)
        this.#leases.booksShow(this.#processor.stats().dropped.retry_exhausted)
        const { isOpen, heldUpUntil } = this.#leases.pace
        const { isClosing } = this.#leases
        this.#flushes.resolved(flush, result, { now: this.clock.now, isClosing, isOpen, heldUpUntil })
      },
      (cause) => this.#violate(`a flush rejected: ${cause}`),
    )
    return flush
  }

  abort(): void {
    const { flush, controller } = this.abortable[0] as OpenFlush
    flush.isAborted = true
    flush.request.run(() => controller.abort())
  }

  /** The request is cancelled, in the middle of whatever it is doing. */
  cancel(request: SimulatedRequest): void {
    if (this.#leases.attemptOf(request) !== undefined) this.lastOutcome = 'died'
    request.die(this.clock.now, this.#clear)
    this.#flushes.died(request)
    for (const open of this.#openFlushes) if (open.flush.request === request) this.#openFlushes.delete(open)
    for (const pending of this.#exports) if (pending.attempt.request === request) pending.isAnswered = true
  }

  answer(pending: PendingExport, reply: Reply): void {
    if (pending.isAnswered) return
    pending.isAnswered = true
    const given = this.#replyTo(pending.attempt, reply)
    this.#note(`answer ${given.kind} to request ${pending.attempt.request.id}`)
    if (this.#leases.answered(pending.attempt, meaningOf(given), this.clock.now))
      this.lastOutcome = given.kind as SeenOutcome
    pending.request.answer(given)
  }

  async advance(millis: number): Promise<void> {
    await this.clock.advance(millis, () => this.settle())
  }

  async freeze(millis: number): Promise<void> {
    this.#leases.froze(millis)
    await this.clock.freeze(millis, () => this.settle())
    this.thawedAt = this.clock.now
  }

  // ── What a command can ask ────────────────────────────────────────────────────────────────────────────────────

  get live(): SimulatedRequest[] {
    return this.#requests.filter((request) => request.isAlive)
  }

  get hasRoom(): boolean {
    return this.live.length < MAX_LIVE
  }

  get answerable(): PendingExport[] {
    return this.#exports.filter((pending) => !pending.isAnswered)
  }

  get abortable(): OpenFlush[] {
    return [...this.#openFlushes]
  }

  // ── The collector's side ──────────────────────────────────────────────────────────────────────────────────────

  received(request: Request, timeoutMillis: number | undefined): undefined {
    const sender = runningRequest()
    this.#note(`request ${sender?.id} sends [${request.ids}] within ${timeoutMillis}`)
    if (sender === undefined) {
      this.#violate('something was sent outside of any request')
      return
    }
    const { now } = this.clock
    if (this.#leases.isClosing && this.#shutdownCount > 0)
      this.#violate('something was sent after the shutdown')
    this.#leases.booksShow(this.#processor.stats().dropped.retry_exhausted)
    const spans = request.ids.map((id) => this.#spans[id] as LeasedSpan)
    const cutBackoff = () => this.#mayCutBackoff(sender)
    const attempt = this.#leases.attemptStarted(sender, spans, timeoutMillis ?? 0, now, cutBackoff)
    const { reply, latencyMillis } = this.behaviour
    const pending: PendingExport = { attempt, request, reply: undefined, isAnswered: false }
    this.#exports.push(pending)
    request.signal?.addEventListener('abort', () => this.#aborted(pending))
    if (reply === undefined) return
    if (latencyMillis > 0) this.clock.later(() => this.answer(pending, reply), latencyMillis)
    else pending.reply = reply
  }

  flushed(): void {}

  shutDown(): void {
    this.#shutdownCount++
  }

  // ── Looking on ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lets everything run that can, and holds it against the model. */
  async settle(): Promise<void> {
    for (let answers = 0; ; answers++) {
      await turn()
      this.clock.rested()
      this.#leases.turned(this.#processor.stats().dropped.retry_exhausted)
      this.#look(this.clock.isQuiet)
      const due = this.answerable.find(({ reply }) => reply !== undefined)
      if (due?.reply === undefined) break
      if (answers > 1000) throw new Error('the drains never come to rest')
      this.answer(due, due.reply)
    }
    this.#exports = this.answerable
  }

  /**
   * The end of every sequence. The collector is well again: what anybody left behind gets there with one flush, but for
   * what the collector will never take, which is given up sooner or later. Then everybody has what he asked for, and no
   * timer is left.
   */
  async finish(): Promise<void> {
    this.behaviour = { reply: DELIVERED, latencyMillis: 0 }
    for (const pending of this.answerable) {
      this.answer(pending, DELIVERED)
      await this.settle()
    }
    // The most patient caller, the longest delay, and the breaker's next probe.
    await this.advance(61_000)
    // Where nothing new is let in, there is nobody to compare a bad batch with.
    const canJudge = this.#bad.size === 0 || this.settings.dropPolicy === 'oldest'
    const rounds = this.#bad.size > 0 && canJudge ? 40 : 1
    for (let round = 0; round < rounds && (round === 0 || this.#processor.stats().pending > 0); round++) {
      const request = this.beginRequest()
      if (round > 0) this.endSpans(request, 1, 20)
      const flush = this.flush(request, 59_000)
      await this.settle()
      await this.advance(60_000)
      if (round === 0 && this.#bad.size === 0) this.#checkRecovery(flush)
    }
    if (this.#processor.stats().pending > 0 && canJudge) this.#violate('spans are held for ever')
    for (const request of this.live) {
      if (request.isWaitedFor) this.#violate(`request ${request.id} is waited for in vain`)
    }
    if (this.#flushes.open.size > 0) this.#violate('a flush never ended')
    if (this.clock.timerCount > 0) this.#violate(`${this.clock.timerCount} timers are left`)
    this.#fail()
    await this.#shutDown()
  }

  dispose(): void {
    this.clock.uninstall()
    uninstallRequests()
  }

  /** With spans that wait: they are sent first, and what ends later is only counted. */
  async #shutDown(): Promise<void> {
    const request = this.beginRequest()
    this.endSpans(request, 1, 20)
    this.#leases.isClosing = true
    this.#unattendedUntil.set(request, this.clock.now + 8000)
    request.run(() => this.#processor.shutdown({ timeoutMillis: 8000 }))
    await this.settle()
    await this.advance(8000)
    if (this.#shutdownCount !== 1) this.#violate(`the exporter was shut down ${this.#shutdownCount} times`)
    this.#isShutDown = true
    const { dropped } = this.#processor.stats()
    this.endSpans(request, 1, 20)
    if (this.#processor.stats().dropped.already_shutdown !== dropped.already_shutdown + 1)
      this.#violate('a span was taken in after the shutdown')
    await this.advance(1000)
    if (this.#processor.stats().pending > 0) this.#violate('spans are pending after the shutdown')
    if (this.clock.timerCount > 0) this.#violate('timers are left after the shutdown')
    this.#fail()
  }

  /** With the dead taken over, what the caps have room for is delivered, and the rest counted. */
  #checkRecovery({ result }: ExpectedFlush): void {
    if (result === undefined) return
    const { status, rejected, failed, dropped, pending } = result
    const isWell = rejected + failed + pending === 0 && (status === 'success' || dropped > 0)
    if (!isWell) this.#violate(`all is well, and a flush was told ${JSON.stringify(result)}`)
  }

  #endSpan(size: number, isBad: boolean): void {
    const id = this.#spans.length
    if (isBad) this.#bad.add(id)
    this.#spans.push({ id, size, isSettled: false, failures: 0, failedAt: 0, ranOutOfTime: false })
    const before = this.#processor.stats()
    this.#processor.onEnd(modelSpan(id, size, {}))
    const after = this.#look(false)
    if (after.inFlight !== before.inFlight) this.#violate('something was sent from within span.end()')
    if (this.#isShutDown) return
    const { maxQueueSize, dropPolicy } = this.settings
    const pushedOut = after.dropped.queue_full - before.dropped.queue_full
    const isFull = before.pending - before.inFlight === maxQueueSize
    if (pushedOut > 0 && !isFull) this.#violate(`${pushedOut} spans were pushed out of a queue with room`)
    const mayBeRefused = dropPolicy === 'newest' || size > this.settings.maxQueueBytes
    if (after.pending === before.pending && !mayBeRefused && pushedOut === 0 && before.pending === 0)
      this.#violate('a span vanished')
  }

  #replyTo({ spans }: RequestAttempt, reply: Reply): Reply {
    const isBad = spans.some(({ id }) => this.#bad.has(id))
    return isBad && reply.kind !== 'too large' ? { ...reply, kind: 'retryable' } : reply
  }

  /** Before the next probe is due, or while somebody else's is on its way, nobody can do anything. */
  #isTurnedAway(now: number): boolean {
    const { pace } = this.#leases
    return pace.isOpen && (now < pace.probeDueAt || this.#leases.isAnybodyProbing(now))
  }

  #mayCutBackoff(request: SimulatedRequest): boolean {
    return this.clock.now <= (this.#unattendedUntil.get(request) ?? -1) || this.#flushes.cutBackoff(request)
  }

  #aborted(pending: PendingExport): void {
    if (pending.isAnswered) return
    pending.isAnswered = true
    const { attempt, request } = pending
    const { now } = this.clock
    const reason: ExportError | undefined = request.signal?.reason
    const code = reason?.code
    this.#note(`aborted (${code})`)
    if (code === 'aborted') {
      const flushes = this.#flushes.of(attempt.request)
      const isOver = flushes.some(
        ({ isLast, isAborted, deadline }) => isLast && (isAborted || now >= deadline),
      )
      if (!isOver && !this.#leases.isClosing) this.#violate('an attempt was cut short without a reason')
      this.#leases.handedBack(attempt.request)
      this.lastOutcome = 'cut short'
      return
    }
    if (now < attempt.startedAt + attempt.timeoutMillis - 1)
      this.#violate(`an attempt was aborted ${now - attempt.startedAt} ms after its start`)
    if (this.#leases.answered(attempt, { kind: 'retryable' }, now)) this.lastOutcome = 'timed out'
    request.answer({ kind: 'retryable', rejected: 0, retryAfterMillis: 0 })
  }

  #look(isQuiet: boolean): PipelineStats {
    const stats = this.#processor.stats()
    if (!this.#leases.isClosing) this.#checkBooks(stats)
    if (isQuiet) {
      this.#flushes.checkWaiting(stats.pending, this.clock.now)
      for (const request of this.live) this.#checkIdle(request)
    }
    for (const reason of unhandled.splice(0)) this.#violate(`unhandled rejection: ${reason}`)
    this.#fail()
    return stats
  }

  #checkBooks(stats: PipelineStats): void {
    const { ended, exported, rejected, failed, dropped, pending, inFlight } = stats
    const { maxQueueSize, maxQueueBytes } = this.settings
    const { counts } = this.#leases
    // Nothing that was sent is answered and unheard of: what the exhausted are is told by the books alone.
    this.#leases.booksShow(dropped.retry_exhausted)
    const sum = Object.values(dropped).reduce(
      (all, count) => all + count,
      exported + rejected + failed + pending,
    )
    if (ended !== this.#spans.length || sum !== ended) this.#violate(`the books: ${JSON.stringify(stats)}`)
    const isKnown = exported === counts.exported && rejected === counts.rejected && failed === counts.failed
    if (!isKnown) this.#violate(`the books say ${JSON.stringify(stats)}, not ${JSON.stringify(counts)}`)
    const { least, most } = this.#leases.outCount()
    if (inFlight < least || inFlight > most)
      this.#violate(`${inFlight} spans are in flight, and not ${least} to ${most}`)
    if (pending - inFlight > maxQueueSize) this.#violate(`${pending - inFlight} spans wait`)
    const waitingBytes = stats.pendingBytes - this.#leases.outBytes
    if (inFlight === most && waitingBytes > maxQueueBytes) this.#violate(`${waitingBytes} bytes wait`)
  }

  /** Who waits for nobody has no timer but those that see a turn of the event loop through. */
  #checkIdle(request: SimulatedRequest): void {
    const isBusy = this.#flushes.of(request).length > 0 || request.isWaitedFor
    const isSending = this.#leases.attemptOf(request) !== undefined
    const { now } = this.clock
    if (isBusy || isSending || now <= (this.#unattendedUntil.get(request) ?? -1)) return
    if (request.hasTimersAfter(now + 1))
      this.#violate(`request ${request.id} has timers and nobody waits for it`)
  }

  #note(event: string): void {
    this.#history.push(`${String(this.clock.now).padStart(8)} ${event}`)
  }

  #fail(): void {
    if (this.#violations.length === 0) return
    const history = this.#history.slice(-HISTORY_LINES).join('\n')
    throw new Error(`${[...new Set(this.#violations)].join('; ')}\n${history}`)
  }
}
