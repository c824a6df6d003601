/** One flush in one request: see `RequestDrains`. */
import type { RequestScope } from '../request.ts'
import type { ExportError, FlushResult } from '../types.ts'
import { makeAttempt, OpenAttempt } from './attempt.ts'
import { circuitOpen } from './breaker.ts'
import { MAX_DELAY_MILLIS, monotonicNow } from './deadline.ts'
import { ExporterHooks } from './exporter-hooks.ts'
import { type CallOptions, FlushCall } from './flush.ts'
import { Lease } from './lease.ts'
import { Pulse } from './pulse.ts'
import { pendingThrough, type SharedState } from './shared-state.ts'
import { suppressTracing } from './suppress.ts'
import { EventLoopTurns, Wait } from './wait.ts'

/** How often a drain looks whether others are done with what it waits for, in milliseconds: first, and at most. */
const FIRST_POLL_MILLIS = 5
const MAX_POLL_MILLIS = 250

/** An exporter whose own flush has kept a request waiting to its end does not get more time than this again. */
const HANGING_EXPORTER_MILLIS = 1000

/** What happened to the spans of a caller is no longer counted so long after its deadline, in milliseconds. */
const TALLY_GRACE_MILLIS = 60_000

/** One flush or shutdown: sends what it covers and nobody else has taken, and waits for the rest. */
export class RequestDrain<Payload> {
  readonly lease: Lease<Payload>
  readonly pulse = new Pulse()
  /** The request that it runs in, where that is known. */
  readonly request: RequestScope | undefined
  /** Set while an attempt is on its way. */
  attempt: OpenAttempt | undefined
  /** What that attempt sends. */
  payload: Payload | undefined
  readonly #shared: SharedState<Payload, RequestDrain<Payload>>
  readonly #options: CallOptions
  readonly #call: FlushCall
  readonly #wait = new Wait()
  readonly #hooks: ExporterHooks
  #isSettled = false
  #cutsBackoff: boolean
  #awaitedResources = false
  #pollMillis = FIRST_POLL_MILLIS

  constructor(
    shared: SharedState<Payload, RequestDrain<Payload>>,
    options: CallOptions,
    request: RequestScope | undefined,
  ) {
    const { backlog, books, sender } = shared
    this.#shared = shared
    this.#options = options
    this.request = request
    this.lease = new Lease(backlog, books, shared.options)
    this.#hooks = new ExporterHooks(sender, books.reporter)
    const watermark = options.after === undefined ? backlog.newestSequence : Infinity
    this.#cutsBackoff = options.cutsBackoff ?? true
    const tally = books.ledger.open(watermark, monotonicNow() + options.timeoutMillis + TALLY_GRACE_MILLIS)
    this.#call = new FlushCall(options, tally, () => this.#expire())
    if (options.isShutdown) shared.shutdowns.add(this)
  }

  run(): Promise<FlushResult> {
    const { promise, expiresAtOnce } = this.#call
    if (expiresAtOnce) {
      this.#expire()
      return promise
    }
    suppressTracing(() => this.#drain()).then(undefined, (cause) => {
      this.#shared.books.reporter.drainFailed(cause)
      this.#handBack()
      this.#giveUp()
    })
    return promise
  }

  // ── Draining ──────────────────────────────────────────────────────────────────────────────────────────────────

  async #drain(): Promise<void> {
    const turns = new EventLoopTurns()
    // A caller whose time is up does not end the attempt that is on its way, but it is the last one.
    while (!this.#isSettled) {
      const startedAt = monotonicNow()
      this.pulse.beat()
      this.#lookAtOpenSpans()
      if (this.#isCovered()) {
        // What came after the watermark must not wait for the exporter's own flush.
        this.#handBack()
        await this.#finish()
        break
      }
      await this.#step()
      // With a batch out it goes on at once: who dies here would hold it for ever.
      if (!this.lease.isOut) await turns.after(startedAt)
    }
    this.#handBack()
  }

  /** Looks, since the promise of a wait would be settled by whichever request ends the last span. */
  #lookAtOpenSpans(): void {
    const { tally } = this.#call
    const isWaiting = this.#options.after !== undefined && tally.watermark === Infinity
    if (isWaiting && this.#options.after?.isOver) tally.watermark = this.#shared.backlog.newestSequence
  }

  #isCovered(): boolean {
    const { backlog, active, isClosed } = this.#shared
    const { watermark } = this.#call.tally
    if (isClosed) return true
    if (backlog.firstSequence <= watermark) return false
    for (const { lease } of active) if (lease.firstSequence <= watermark) return false
    return true
  }

  async #step(): Promise<void> {
    this.#takeFromTheDead()
    if (this.#isTurnedAway()) {
      this.#giveUp(circuitOpen())
      return
    }
    if (!this.#maySend()) {
      await this.#poll()
      return
    }
    const pauseMillis = this.#pauseMillis()
    if (pauseMillis > 0) {
      // Nobody can tell whether this request lives to the end of the pause.
      if (this.lease.isOut) this.#handBack()
      // Others may be done with it meanwhile, or find out that it is no use to wait.
      if (!this.#isSettled) await this.#wait.until(Math.min(pauseMillis, MAX_POLL_MILLIS))
      return
    }
    const now = monotonicNow()
    const isPatient = !this.#awaitedResources && !this.lease.isOut
    const patienceMillis = isPatient ? this.#shared.resourcePatience.leftMillis(now) : 0
    const settling = patienceMillis > 0 ? this.#shared.backlog.whenReady() : undefined
    if (settling !== undefined) {
      this.#awaitedResources = true
      this.#shared.resourcePatience.begin(now)
      await this.#wait.until(Math.min(patienceMillis, this.#call.remainingMillis(now) / 2), settling)
    } else if (!this.#isSettled) {
      await this.#sendNext()
    }
  }

  /** Whether there is something to send that is nobody else's. */
  #maySend(): boolean {
    const { backlog, sender, active } = this.#shared
    if (this.lease.isOut) return true
    if (sender.isSerial && active.size > 0) return false
    // One request, one export at a time.
    for (const { request } of active) if (request !== undefined && request === this.request) return false
    return backlog.count > 0 && backlog.firstSequence <= this.#call.tally.watermark
  }

  async #sendNext(): Promise<void> {
    const { active, books, sender } = this.#shared
    // Taking a batch may encode it, which may run user code.
    const batch = suppressTracing(() => this.lease.next())
    if (batch === undefined || this.#shared.isClosed) return
    active.add(this)
    const now = monotonicNow()
    const { attemptTimeoutMillis = Infinity } = sender
    const timeoutMillis = Math.min(this.lease.attemptMillis(now), attemptTimeoutMillis)
    books.pace.attemptStarted(now)
    this.#cutsBackoff = false
    this.#pollMillis = FIRST_POLL_MILLIS
    this.attempt = new OpenAttempt(this.pulse)
    this.payload = batch.payload
    const result = await makeAttempt(sender, batch, timeoutMillis, this.attempt)
    this.attempt = this.payload = undefined
    this.pulse.beat()
    this.lease.apply(result)
    if (!this.lease.isOut) active.delete(this)
  }

  /** How long nothing may be sent, in milliseconds. Who cannot wait that long hears so at once. */
  #pauseMillis(): number {
    const { pace, reporter } = this.#shared.books
    const now = monotonicNow()
    const { isShutdown } = this.#options
    const { isDeciding } = this.lease
    const remainingMillis = this.#call.remainingMillis(now)
    // Shutdown always tries once.
    const isLastChance = isShutdown && this.#cutsBackoff
    const waitMillis = pace.failureWaitMillis(now, {
      cutsBackoff: this.#cutsBackoff || isDeciding,
      ignoresBreaker: isShutdown || isDeciding,
      ignoresServerDelay: isLastChance && pace.serverDelayMillis(now) >= remainingMillis,
    })
    const isOpen = this.#heedsBreaker()
    if (waitMillis > 0 && (isOpen || waitMillis >= remainingMillis)) {
      this.#giveUp(isOpen ? circuitOpen() : reporter.lastError)
    }
    return Math.max(waitMillis, pace.rateLimitMillis(now))
  }

  #heedsBreaker(): boolean {
    return this.#shared.books.pace.isOpen && !this.#options.isShutdown && !this.lease.isDeciding
  }

  /** One probe a period, whoever asks. Nobody else waits, were it only for what others have out. */
  #isTurnedAway(): boolean {
    if (this.lease.isOut || !this.#heedsBreaker()) return false
    const { active, books } = this.#shared
    const now = monotonicNow()
    for (const { attempt } of active) {
      if (attempt !== undefined && books.pace.isProbe(attempt.startedAt, now)) return true
    }
    return books.pace.probeWaitMillis(now) > 0
  }

  /** Others have what is waited for. */
  async #poll(): Promise<void> {
    await this.#wait.until(this.#pollMillis)
    this.#pollMillis = Math.min(2 * this.#pollMillis, MAX_POLL_MILLIS)
  }

  /** Where another request has died, its batch is free again. */
  #takeFromTheDead(): void {
    const now = monotonicNow()
    for (const other of this.#shared.active) {
      if (other !== this && other.pulse.looksDead(now, this.#shared.turns)) this.#takeFrom(other)
    }
  }

  #takeFrom(dead: RequestDrain<Payload>): void {
    const { payload } = dead
    dead.#handBack()
    if (payload !== undefined) this.#shared.sender.abandoned?.(payload)
  }

  #handBack(): void {
    this.lease.handBack()
    this.#shared.active.delete(this)
  }

  // ── The caller ────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that the caller waits for is settled: the exporter's own flush or shutdown is left. */
  async #finish(): Promise<void> {
    if (this.#options.isShutdown) await this.#close()
    else if (!this.#shared.isClosed && !(await this.#flushExporter())) {
      this.#settle('expired')
      return
    }
    this.#settle('covered')
  }

  /** @returns Whether it has come to its end. */
  async #flushExporter(): Promise<boolean> {
    const shared = this.#shared
    if (shared.sender.forceFlush === undefined) return true
    const flushed = this.#hooks.flushNow()
    const patienceMillis = shared.exporterHangs ? HANGING_EXPORTER_MILLIS : MAX_DELAY_MILLIS
    const end = await this.#wait.until(patienceMillis, flushed)
    shared.exporterHangs = end !== 'settled'
    return end === 'settled'
  }

  #expire(): void {
    const { active, books } = this.#shared
    const now = monotonicNow()
    const pending = pendingThrough(this.#shared, this.#call.tally.watermark)
    if (pending > 0 && !this.#call.expiresAtOnce) {
      const ages = [...active].map(({ lease }) => lease.ageMillis(now))
      books.reporter.flushTimedOut(pending, Math.max(0, ...ages))
    }
    if (this.#options.isShutdown && !this.#isOtherShutdownPatient(now)) this.#close()
    this.#settle('expired')
    if (!this.#options.endsRequest) return
    // The answer to the attempt comes too late for anybody: who comes next need not find out first that this is dead.
    this.#handBack()
    this.attempt?.end()
  }

  #isOtherShutdownPatient(now: number): boolean {
    for (const other of this.#shared.shutdowns) {
      if (other !== this && other.#call.remainingMillis(now) > 0) return true
    }
    return false
  }

  #giveUp(error?: ExportError): void {
    if (this.#options.isShutdown) this.#expire()
    else this.#settle('hopeless', error)
  }

  #settle(end: 'covered' | 'expired' | 'hopeless', error?: ExportError): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#shared.shutdowns.delete(this)
    const { tally } = this.#call
    this.#shared.books.ledger.close(tally)
    this.#call.settle(end, pendingThrough(this.#shared, tally.watermark), error)
    this.#wait.interrupt()
  }

  /** Ends everything. What is still held is given up, whoever holds it. */
  async #close(): Promise<void> {
    const { active, backlog, books } = this.#shared
    if (this.#shared.isClosed) return
    this.#shared.isClosed = true
    for (const { lease } of active) lease.drop()
    active.clear()
    backlog.dropAll('shutdown_timeout')
    books.metrics?.shutdown()
    this.attempt?.end()
    await this.#hooks.shutdown()
  }
}
