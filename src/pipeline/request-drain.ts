/** One flush in one request: see `RequestDrains`. */
import type { ExportError, FlushResult, Sender } from '../types.ts'
import { makeAttempt, OpenAttempt } from './attempt.ts'
import type { Backlog } from './backlog.ts'
import { circuitOpen } from './breaker.ts'
import { monotonicNow } from './deadline.ts'
import type { DrainOptions } from './drain.ts'
import { ExporterHooks } from './exporter-hooks.ts'
import { type CallOptions, FlushCall } from './flush.ts'
import { Lease, type LeaseBooks } from './lease.ts'
import { suppressTracing } from './suppress.ts'
import { EventLoopTurns, Wait } from './wait.ts'

/** How often a drain looks whether others are done with what it waits for, in milliseconds: first, and at most. */
const FIRST_POLL_MILLIS = 5
const MAX_POLL_MILLIS = 250

/** Exports go on without the missing attributes when a resource took this long to settle, in milliseconds. */
const RESOURCE_PATIENCE_MILLIS = 5000

/** What the drains of one processor have in common: data, and nothing that belongs to a request. */
export interface SharedState<Payload> {
  readonly backlog: Backlog<Payload>
  readonly sender: Sender<Payload>
  readonly books: LeaseBooks
  readonly options: DrainOptions
  /** Those that have a batch out. */
  readonly active: Set<RequestDrain<Payload>>
  isClosed: boolean
}

/** One flush or shutdown: sends what it covers and nobody else has taken, and waits for the rest. */
export class RequestDrain<Payload> {
  readonly lease: Lease<Payload>
  /** Set while an attempt is on its way. */
  attempt: OpenAttempt | undefined
  readonly #shared: SharedState<Payload>
  readonly #options: CallOptions
  readonly #call: FlushCall
  readonly #wait = new Wait()
  readonly #hooks: ExporterHooks
  #isSettled = false
  #cutsBackoff = true
  #pollMillis = FIRST_POLL_MILLIS

  constructor(shared: SharedState<Payload>, options: CallOptions) {
    const { backlog, books, sender } = shared
    this.#shared = shared
    this.#options = options
    this.lease = new Lease(backlog, books, shared.options)
    this.#hooks = new ExporterHooks(sender, books.reporter)
    const watermark = options.after === undefined ? backlog.newestSequence : Infinity
    this.#call = new FlushCall(options, books.ledger.open(watermark), () => this.#expire())
  }

  run(): Promise<FlushResult> {
    const { promise, tally, expiresAtOnce } = this.#call
    if (expiresAtOnce) {
      this.#expire()
      return promise
    }
    this.#options.after?.then(() => {
      tally.watermark = this.#shared.backlog.newestSequence
      this.#wait.interrupt()
    })
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
      if (this.#isCovered()) {
        await this.#finish()
        break
      }
      await this.#step()
      // With a batch out it goes on at once: who dies here would hold it for ever.
      if (!this.lease.isOut) await turns.after(startedAt)
    }
    this.#handBack()
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
    if (!this.#maySend()) {
      await this.#poll()
      return
    }
    const pauseMillis = this.#pauseMillis()
    if (pauseMillis > 0) {
      // Nobody can tell whether this request lives to the end of the pause.
      this.#handBack()
      if (!this.#isSettled) await this.#wait.until(pauseMillis)
      return
    }
    const settling = this.lease.isOut ? undefined : this.#shared.backlog.whenReady()
    if (settling !== undefined) await this.#awaitResources(settling)
    if (!this.#isSettled) await this.#sendNext()
  }

  /** Whether there is something to send that is nobody else's. */
  #maySend(): boolean {
    const { backlog, sender, active } = this.#shared
    if (this.lease.isOut) return true
    if (sender.isSerial && active.size > 0) return false
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
    this.attempt = new OpenAttempt()
    const result = await makeAttempt(sender, batch, timeoutMillis, this.attempt)
    this.attempt = undefined
    this.lease.apply(result)
    if (!this.lease.isOut) active.delete(this)
  }

  /** How long nothing may be sent, in milliseconds. Who cannot wait that long hears so at once. */
  #pauseMillis(): number {
    const { active, books } = this.#shared
    const { pace, reporter } = books
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
    const isOpen = pace.isOpen && !isShutdown && !isDeciding
    // One probe a period, whoever asks.
    const somebodyElseProbes = isOpen && [...active].some((other) => other !== this && other.attempt)
    if (somebodyElseProbes || (waitMillis > 0 && (isOpen || waitMillis >= remainingMillis))) {
      this.#giveUp(isOpen ? circuitOpen() : reporter.lastError)
    }
    return Math.max(waitMillis, pace.rateLimitMillis(now))
  }

  /** Others have what is waited for. Where one of them has died, its batch is free again. */
  async #poll(): Promise<void> {
    await this.#wait.until(this.#pollMillis)
    this.#pollMillis = Math.min(2 * this.#pollMillis, MAX_POLL_MILLIS)
    const now = monotonicNow()
    for (const other of this.#shared.active) {
      if (other.attempt?.looksDead(now)) other.#handBack()
    }
  }

  async #awaitResources(settling: Promise<void>): Promise<void> {
    const remainingMillis = this.#call.remainingMillis(monotonicNow())
    await this.#wait.until(Math.min(RESOURCE_PATIENCE_MILLIS, remainingMillis / 2), settling)
  }

  #handBack(): void {
    this.lease.handBack()
    this.#shared.active.delete(this)
  }

  // ── The caller ────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that the caller waits for is settled: the exporter's own flush or shutdown is left. */
  async #finish(): Promise<void> {
    if (this.#options.isShutdown) await this.#close()
    else if (!this.#shared.isClosed) await this.#hooks.flushNow()
    this.#settle('covered')
  }

  #expire(): void {
    const pending = pendingThrough(this.#shared, this.#call.tally.watermark)
    if (pending > 0 && !this.#call.expiresAtOnce) {
      this.#shared.books.reporter.flushTimedOut(pending, this.lease.ageMillis(monotonicNow()))
    }
    if (this.#options.isShutdown) this.#close()
    this.#settle('expired')
  }

  #giveUp(error?: ExportError): void {
    if (this.#options.isShutdown) this.#expire()
    else this.#settle('hopeless', error)
  }

  #settle(end: 'covered' | 'expired' | 'hopeless', error?: ExportError): void {
    if (this.#isSettled) return
    this.#isSettled = true
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
    books.metrics?.shutdown()
    for (const { lease } of active) lease.drop()
    active.clear()
    backlog.dropAll('shutdown_timeout')
    this.attempt?.end()
    await this.#hooks.shutdown()
  }
}

/** What is not settled, found by walking leases and backlog. */
export function pendingThrough<Payload>({ active, backlog }: SharedState<Payload>, sequence: number): number {
  let count = backlog.countThrough(sequence)
  for (const { lease } of active) count += lease.countThrough(sequence)
  return count
}
