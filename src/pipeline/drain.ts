/**
 * The drain loop: the only code that touches the network. Timer, size trigger, flush and shutdown do not send; they
 * wake it. So one batch at most is on its way, whoever asks.
 */
import type { ExportError, FlushResult, Sender } from '../types.ts'
import { makeAttempt, OpenAttempt } from './attempt.ts'
import type { Backlog } from './backlog.ts'
import type { LeaseBooks } from './books.ts'
import { circuitOpen } from './breaker.ts'
import { monotonicNow, startTimer, type Timer } from './deadline.ts'
import { ExporterHooks } from './exporter-hooks.ts'
import { Callers, type CallOptions, type FlushCall } from './flush.ts'
import { type FlushSyncCall, flushSync, NO_TIME_LEFT } from './flush-sync.ts'
import { Lease, type LeaseOptions } from './lease.ts'
import { PageLease } from './page-lease.ts'
import { Turns } from './pulse.ts'
import { ResourceWait } from './resource-wait.ts'
import { suppressTracing } from './suppress.ts'
import { EventLoopTurns, Soon, Wait } from './wait.ts'

/** How the loop batches, and how long it waits for what. */
export interface DrainOptions extends LeaseOptions {
  /** A span waits no longer for its batch to fill, in milliseconds; 0: for ever. */
  readonly scheduledDelayMillis: number
}

/**
 * Drains the backlog of one processor.
 *
 *     spanEnded ─► full batch ────────────► wakeSoon ─┐
 *             └──► schedule (a timer) ────────────────┼─► wake ─► drain: pause? ─► send ─► settle callers ─┐
 *     flush, shutdown ─► hurry (ends a pause) ────────┘             ▲                                      │
 *                                                                   └───────── while there is work ◄───────┘
 */
export class DrainLoop<Payload> {
  readonly #backlog: Backlog<Payload>
  readonly #sender: Sender<Payload>
  readonly #books: LeaseBooks
  readonly #options: DrainOptions
  readonly #lease: Lease<Payload>
  readonly #page: PageLease<Payload>
  readonly #callers: Callers
  readonly #hooks: ExporterHooks
  /** Everything up to this sequence is to be sent without waiting for a full batch. */
  #target = -1
  #isDraining = false
  readonly #turns = new Turns()
  readonly #goOnSoon = new Soon(() => this.#goOn())
  readonly #settleSoon = new Soon(() => this.#settleCovered())
  #schedule: Timer | undefined
  /** Set while an attempt is on its way. */
  #attempt: OpenAttempt | undefined
  readonly #wait = new Wait()
  readonly #resources = new ResourceWait(this.#wait, (now) => this.#callers.leastMillis(now))
  #cutsBackoff = false
  #isClosing = false
  /** Shutdown always tries once: set until an attempt begins after it. */
  #owesLastAttempt = false
  /** The exporter's own shutdown, once everything is over. */
  #closed: Promise<void> | undefined

  constructor(backlog: Backlog<Payload>, sender: Sender<Payload>, books: LeaseBooks, options: DrainOptions) {
    this.#backlog = backlog
    this.#sender = sender
    this.#books = books
    this.#options = options
    this.#lease = new Lease(backlog, books, options)
    this.#page = new PageLease(backlog, sender, books, options)
    this.#callers = new Callers(books.ledger, (sequence) => this.pendingThrough(sequence))
    this.#hooks = new ExporterHooks(sender, books.reporter)
  }

  /** What is not settled, found by walking lease and backlog. */
  pendingThrough(sequence: number): number {
    const leased = this.#lease.countThrough(sequence) + this.#page.lease.countThrough(sequence)
    return leased + this.#backlog.countThrough(sequence)
  }

  get pendingBytes(): number {
    return this.#lease.bytes + this.#page.lease.bytes + this.#backlog.pendingBytes
  }

  get inFlight(): number {
    return this.#lease.countThrough(Infinity) + this.#page.lease.countThrough(Infinity)
  }

  /** A span was taken in. Called from within `span.end()`, so it sends nothing: it sees to it that it will be sent. */
  spanEnded(): void {
    if (this.#isDraining || this.#goOnSoon.isPending || this.#backlog.count === 0) return
    if (this.#hasFullBatch()) this.wakeSoon()
    else if (this.#schedule === undefined) this.#startSchedule()
  }

  /** Spans were given up, perhaps from within `span.end()`. Whoever waited for no others is settled soon after. */
  spansDropped(): void {
    if (!this.#callers.isEmpty) this.#settleSoon.start()
  }

  /** Sends full batches, and everything up to `target`, after the code that is running now. */
  wakeSoon(target = -1): void {
    this.#target = Math.max(this.#target, target)
    this.#goOnSoon.start()
  }

  /** Sends everything that has ended by now, and waits for that within the caller's deadline. */
  flush(options: CallOptions): Promise<FlushResult> {
    const newest = this.#backlog.newestSequence
    const watermark = options.after === undefined ? newest : Infinity
    const call = this.#callers.open(options, watermark, (expired) => this.#expire(expired))
    const somebodyElseProbes = this.#books.pace.isOpen && this.#attempt !== undefined
    if (options.isShutdown) this.#isClosing = this.#owesLastAttempt = true
    if (this.#attempt?.pulse.looksDead(monotonicNow(), this.#turns)) this.#attempt.end()
    this.#hurry(newest)
    this.#settleCovered()
    if (call.expiresAtOnce) this.#expire(call)
    else if (somebodyElseProbes && !call.isCovered && !this.#isClosing) this.#giveUp(call)
    options.after?.ended.then(() => {
      call.tally.watermark = this.#backlog.newestSequence
      this.#hurry(call.tally.watermark)
      this.#settleCovered()
    })
    return call.promise
  }

  /** The page is hidden: what matters most leaves, and a batch that awaits its retry. False where nothing can. */
  pageHidden(isLast: boolean): boolean {
    if (!this.#page.isPossible) return false
    this.#page.send(isLast, () => {
      this.#settleCovered()
      this.#goOn()
    })
    if (this.#attempt === undefined && (this.#lease.isOut || this.#backlog.parkedCount > 0)) this.#hurry(-1)
    return true
  }

  /** Gets out what it can before it returns. What is on the wire goes again: its answer would come too late. */
  flushSync(call: FlushSyncCall): void {
    if (this.#closed !== undefined) return
    this.#attempt?.end()
    flushSync(this.#lease, this.#sender, this.#books.spiller, call)
    this.#settleCovered()
  }

  // ── Waking ────────────────────────────────────────────────────────────────────────────────────────────────────

  #hurry(target: number): void {
    this.#target = Math.max(this.#target, target)
    this.#cutsBackoff = this.#attempt === undefined
    this.#wait.interrupt()
    this.#wake()
  }

  #wake(): void {
    if (this.#isDraining || !this.#hasWork()) return
    this.#schedule?.cancel()
    this.#schedule = undefined
    this.#isDraining = true
    suppressTracing(() => this.#drain())
      .finally(() => {
        this.#isDraining = false
      })
      .then(
        () => this.#goOn(),
        // A runtime without timers, a broken meter: the next wake tries again. To go on at once might never end.
        (cause) => this.#books.reporter.drainFailed(cause),
      )
  }

  /** Sends what is due by now, or sees to it that what waits will be sent. */
  #goOn(): void {
    this.#wake()
    if (this.#backlog.count > 0) this.spanEnded()
  }

  #startSchedule(): void {
    if (this.#options.scheduledDelayMillis === 0 || this.#closed !== undefined) return
    this.#schedule = startTimer(() => {
      this.#schedule = undefined
      this.#target = this.#backlog.newestSequence
      this.#wake()
    }, this.#options.scheduledDelayMillis)
  }

  #hasFullBatch(): boolean {
    const { maxExportBatchSize, maxExportBatchBytes } = this.#options
    return this.#backlog.count >= maxExportBatchSize || this.#backlog.bytes >= maxExportBatchBytes
  }

  #hasWork(): boolean {
    if (this.#closed !== undefined) return false
    if (this.#lease.isOut || this.#backlog.parkedCount > 0) return true
    return this.#backlog.firstWaiting <= this.#target || this.#hasFullBatch()
  }

  // ── Draining ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #drain(): Promise<void> {
    const turns = new EventLoopTurns()
    while (this.#hasWork()) {
      const startedAt = monotonicNow()
      await this.#step()
      this.#settleCovered()
      await turns.after(startedAt)
    }
  }

  async #step(): Promise<void> {
    const { pace, spiller } = this.#books
    const failureMillis = this.#failureMillis()
    if (failureMillis > 0 && (pace.isOpen || this.#isClosing) && this.#spill(-1)) {
      await spiller?.next()
      return
    }
    const pauseMillis = Math.max(failureMillis, pace.rateLimitMillis(monotonicNow()))
    if (pauseMillis > 0) {
      if (this.#closed === undefined) await this.#wait.until(pauseMillis)
      return
    }
    const settling = this.#resources.isOver ? undefined : this.#backlog.whenReady()
    if (settling && (await this.#resources.until(settling)) === 'interrupted') return
    await this.#sendNext()
  }

  async #sendNext(): Promise<void> {
    // Taking a batch may encode it, which may run user code.
    const batch = suppressTracing(() => this.#lease.next())
    if (batch === undefined || this.#closed !== undefined) return
    const now = monotonicNow()
    const { attemptTimeoutMillis = Infinity } = this.#sender
    const timeoutMillis = Math.min(this.#lease.attemptMillis(now), attemptTimeoutMillis)
    this.#books.pace.attemptStarted(now)
    this.#cutsBackoff = this.#owesLastAttempt = false
    this.#attempt = new OpenAttempt()
    const result = await makeAttempt(this.#sender, batch, timeoutMillis, this.#attempt)
    this.#attempt = undefined
    this.#hooks.sent()
    this.#lease.apply(result)
  }

  /** How long failures hold up the next attempt, in milliseconds. Callers for whom that is too long hear so at once. */
  #failureMillis(): number {
    const { pace } = this.#books
    const now = monotonicNow()
    const shutdownMillis = this.#callers.shutdownMillis(now)
    const cutsBackoff = this.#cutsBackoff || this.#owesLastAttempt || this.#lease.isDeciding
    const waitMillis = pace.failureWaitMillis(now, {
      cutsBackoff,
      ignoresBreaker: this.#isClosing || this.#lease.isDeciding,
      ignoresServerDelay: this.#owesLastAttempt && pace.serverDelayMillis(now) >= shutdownMillis,
    })
    const isOpen = waitMillis > 0 && pace.isOpen && !this.#isClosing
    for (const call of this.#callers.hopeless(isOpen ? Infinity : waitMillis, now)) this.#giveUp(call)
    return waitMillis
  }

  /** Has what waits, up to a sequence, kept where it outlives the process. False where there is no such place. */
  #spill(sequence: number): boolean {
    const { spiller } = this.#books
    if (!spiller?.isPossible || this.#closed !== undefined) return false
    if (this.#attempt === undefined) this.#lease.handBack()
    spiller.through(sequence)
    return true
  }

  // ── Callers ───────────────────────────────────────────────────────────────────────────────────────────────────

  #giveUp(call: FlushCall): void {
    const { pace, reporter } = this.#books
    if (this.#spill(call.tally.watermark)) return
    if (call.isShutdown) {
      this.#expire(call, reporter.lastError)
      return
    }
    this.#callers.settle(call, 'hopeless', pace.isOpen ? circuitOpen() : reporter.lastError)
  }

  /** @param error - Why it is no use to wait any longer; without one, time is up. */
  #expire(call: FlushCall, error?: ExportError): void {
    const pending = this.pendingThrough(call.tally.watermark)
    if (pending > 0 && !call.expiresAtOnce && error === undefined) {
      this.#books.reporter.flushTimedOut(pending, this.#lease.ageMillis(monotonicNow()))
      if (!call.isShutdown) this.#spill(call.tally.watermark)
    }
    if (call.isShutdown && !this.#callers.hasOtherShutdown(call)) this.#close()
    this.#callers.settle(call, 'expired', error)
    this.#settleCovered()
  }

  /** Settles the callers whose spans are all settled, after the exporter's own flush or shutdown. */
  #settleCovered(): void {
    const places = [this.#lease, this.#page.lease, this.#backlog]
    const oldest = Math.min(...places.map(({ firstSequence }) => firstSequence))
    const covered = this.#callers.takeCovered(oldest)
    if (covered.length === 0) return
    const finished = covered.some((call) => call.isShutdown) ? this.#close() : this.#hooks.flush()
    const settle = () => {
      for (const call of covered) this.#callers.settle(call, 'covered')
    }
    if (finished === undefined) settle()
    else finished.then(settle)
  }

  /** Ends everything. What is still held is given up. */
  #close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed
    this.#isClosing = true
    this.#schedule?.cancel()
    this.#closed = Promise.resolve()
    flushSync(this.#lease, this.#sender, this.#books.spiller, NO_TIME_LEFT)
    this.#lease.drop()
    this.#page.close()
    this.#backlog.dropAll('shutdown_timeout')
    this.#books.metrics?.shutdown()
    this.#attempt?.end()
    this.#wait.interrupt()
    this.#closed = this.#hooks.shutdown()
    return this.#closed
  }
}
