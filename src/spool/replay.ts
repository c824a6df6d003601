/**
 * Sends what waits in the spool, in the background: one file at a time, at a limited rate, and behind fresh spans. Its
 * own timer is all that makes it look, so that it also finds what other processes left.
 */
import { monotonicNow, NO_TIMER, startTimer, type Timer } from '../pipeline/deadline.ts'
import { describe, log } from '../pipeline/report.ts'
import { suppressTracing } from '../pipeline/suppress.ts'
import type { Attempt, EncodedBatch, Outcome } from '../types.ts'
import type { Claim } from './directory.ts'
import type { SpoolStore } from './store.ts'

/** The first look comes so long after the start: there is more important work then. In milliseconds. */
const FIRST_LOOK_MILLIS = 1000
/** Where nothing waits, somebody else may have left something. In milliseconds. */
const IDLE_LOOK_MILLIS = 30_000
/** How long failures hold up the next attempt, in milliseconds: doubled each time. */
const FIRST_BACKOFF_MILLIS = 1000
const MAX_BACKOFF_MILLIS = 30_000
/** Fresh spans go first, but not for ever: after so long a file is sent beside them. In milliseconds. */
const MAX_YIELD_MILLIS = 5000
const YIELD_MILLIS = 50
/** A claim must not outlast this by far: see `Names.isAbandoned`. In milliseconds. */
const MAX_ATTEMPT_MILLIS = 60_000

/** What sends. */
export interface ReplaySender {
  send(batch: EncodedBatch, attempt: Attempt): Promise<Outcome>
  readonly timeoutMillis?: number | undefined
}

/** Replays one spool in one process. No method throws, no promise rejects. */
export class Replayer {
  readonly #store: SpoolStore
  readonly #sender: ReplaySender
  readonly #millisBetween: number
  /** Files that failed lately: others are tried before them. */
  readonly #failed = new Set<string>()
  #failures = 0
  #timer: Timer = NO_TIMER
  #nextAt = Infinity
  /** The backend is away, or asked for a pause: nothing is sent sooner. */
  #heldUntil = 0
  /** The backend itself named that time. */
  #askedToWaitUntil = 0
  /** Files are not sent faster, whoever asks. */
  #pacedUntil = 0
  #yieldingSince: number | undefined
  #isStarted = false
  #isStopped = false
  #freshInFlight = 0
  #running: Promise<void> | undefined
  #controller: AbortController | undefined

  constructor(store: SpoolStore, sender: ReplaySender, maxReplaysPerSecond: number) {
    this.#store = store
    this.#sender = sender
    this.#millisBetween = 1000 / maxReplaysPerSecond
  }

  /** Looks at the spool from now on. */
  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    this.#schedule(FIRST_LOOK_MILLIS)
  }

  /** Ends an attempt that is under way; its file waits again when this settles. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer.cancel()
    this.#controller?.abort()
    await this.#running
  }

  /** Fresh spans are on their way. */
  freshStarted(): void {
    this.#freshInFlight++
  }

  /** The backend has answered, or not. */
  freshEnded(outcome: Outcome): void {
    this.#freshInFlight--
    if (outcome.kind === 'retryable') {
      this.#hold(this.#backoffMillis(), outcome.retryAfterMillis)
      return
    }
    this.#failures = this.#heldUntil = this.#askedToWaitUntil = 0
    if (this.#store.waiting.files > 0) this.#scheduleBy(this.#millisBetween)
  }

  /** Something was written. */
  written(): void {
    this.#scheduleBy(FIRST_BACKOFF_MILLIS)
  }

  /**
   * Sends what waits now, no faster than ever, for a caller who waits: until nothing waits, the backend is found to be away,
   * or asks to be left alone, or time is up. What is on its way then goes on.
   */
  async all(timeoutMillis: number): Promise<void> {
    let timer = NO_TIMER
    let isOver = false
    const timeout = new Promise<void>((resolve) => {
      timer = startTimer(resolve, timeoutMillis, true)
    })
    const sendAll = async () => {
      while (!isOver && !this.#isStopped && monotonicNow() >= this.#askedToWaitUntil) {
        if (this.#running !== undefined) {
          // What was begun in the background says as much of the backend.
          await this.#running
          if (this.#failures > 0) return
          continue
        }
        const pauseMillis = this.#pacedUntil - monotonicNow()
        if (pauseMillis > 0) {
          await new Promise<void>((resolve) => startTimer(resolve, pauseMillis))
          continue
        }
        this.#timer.cancel()
        if ((await this.#begin()) !== this.#millisBetween) return
      }
    }
    await Promise.race([sendAll(), timeout])
    isOver = true
    timer.cancel()
  }

  #backoffMillis(): number {
    return Math.min(MAX_BACKOFF_MILLIS, FIRST_BACKOFF_MILLIS * 2 ** this.#failures)
  }

  /** Nothing is sent for so long. */
  #hold(millis: number, serverMillis = 0): void {
    const now = monotonicNow()
    this.#heldUntil = Math.max(this.#heldUntil, now + Math.max(millis, serverMillis))
    if (serverMillis > 0) this.#askedToWaitUntil = now + serverMillis
    this.#schedule(Math.max(0, this.#nextAt - monotonicNow()))
  }

  /** Looks no later than that, unless it must not. */
  #scheduleBy(millis: number): void {
    this.#schedule(Math.min(millis, this.#nextAt - monotonicNow()))
  }

  #schedule(millis: number): void {
    if (this.#isStopped || !this.#isStarted || this.#running !== undefined) return
    this.#timer.cancel()
    const now = monotonicNow()
    const delay = Math.max(
      0,
      Math.min(millis, IDLE_LOOK_MILLIS),
      this.#heldUntil - now,
      this.#pacedUntil - now,
    )
    this.#nextAt = now + delay
    this.#timer = startTimer(() => this.#look(), delay)
  }

  #look(): void {
    if (this.#freshInFlight > 0) {
      const now = monotonicNow()
      this.#yieldingSince ??= now
      if (now - this.#yieldingSince < MAX_YIELD_MILLIS) {
        this.#schedule(YIELD_MILLIS)
        return
      }
    }
    this.#begin()
  }

  /** Sends one file, then looks again when it is time. Answers with when that is, in milliseconds. */
  #begin(): Promise<number> {
    this.#yieldingSince = undefined
    let delay = IDLE_LOOK_MILLIS
    const running = suppressTracing(() => this.#replay()).then(
      (millis) => {
        delay = millis
      },
      (cause) => log('error', `replaying the spool failed: ${describe(cause)}`),
    )
    this.#running = running
    return running.then(() => {
      this.#running = undefined
      this.#nextAt = Infinity
      this.#schedule(delay)
      return delay
    })
  }

  /** Sends one file. Answers with when to look again, in milliseconds. */
  async #replay(): Promise<number> {
    const claim = await this.#store.claim(this.#failed)
    if (claim === undefined) return IDLE_LOOK_MILLIS
    this.#pacedUntil = monotonicNow() + this.#millisBetween
    const outcome = this.#isStopped ? undefined : await this.#send(claim)
    const { base } = claim.entry
    if (outcome === undefined || outcome.kind === 'retryable') {
      await this.#store.release(claim)
      return this.#tryLater(base, outcome?.retryAfterMillis)
    }
    if (outcome.kind === 'too_large' && claim.spanCount > 1 && !(await this.#store.split(claim)))
      return this.#tryLater(base)
    this.#failures = this.#heldUntil = this.#askedToWaitUntil = 0
    this.#failed.delete(base)
    if (outcome.kind === 'delivered') await this.#store.delivered(claim, outcome.rejected)
    else if (outcome.kind === 'final' || claim.spanCount === 1)
      await this.#store.refused(claim, `the backend refuses it (${outcome.error.message})`)
    return this.#millisBetween
  }

  /** Answers with when to look again, in milliseconds. */
  #tryLater(base: string, serverMillis?: number): number {
    if (this.#failed.has(base)) this.#failed.clear()
    this.#failed.add(base)
    this.#hold(this.#backoffMillis(), serverMillis)
    this.#failures++
    return this.#heldUntil - monotonicNow()
  }

  async #send({ body, spanCount }: Claim): Promise<Outcome> {
    const controller = new AbortController()
    this.#controller = controller
    const timeoutMillis = Math.min(this.#sender.timeoutMillis ?? MAX_ATTEMPT_MILLIS, MAX_ATTEMPT_MILLIS)
    const timer = startTimer(() => controller.abort(), timeoutMillis)
    try {
      return await this.#sender.send({ body, spanCount }, { signal: controller.signal, timeoutMillis })
    } finally {
      timer.cancel()
      this.#controller = undefined
    }
  }
}
