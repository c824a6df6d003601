/** Vercel and Next.js: what is flushed after a response, and what ends soon after it. */
import { context, ROOT_CONTEXT } from '@opentelemetry/api'
import { readMillis } from './checks.ts'
import { readTarget, Target, type TargetOptions } from './target.ts'
import { startTimer, type Timer } from './timer.ts'

/** What is flushed after a response, and for how long. */
export interface DrainOptions extends TargetOptions {
  /** How long a flush after the response may take, in milliseconds, from 0 to 25,000. Default 5000. */
  readonly timeoutMillis?: number | undefined
}

/** Beyond this no promise of ours keeps a request open: platforms cut `waitUntil` off at 30 s. */
export const MAX_HOLD_MILLIS = 30_000
const MAX_TIMEOUT_MILLIS = 25_000
/** Spans of other requests are waited for no longer than this. */
const OPEN_SPANS_PATIENCE_MILLIS = 500
/** A provider does not tell which spans are open. */
const PROVIDER_PAUSE_MILLIS = 50

/** Flushes after responses. No method throws or rejects. */
export class Drain {
  /** The deadline of a flush that nobody waits for, in milliseconds. */
  readonly timeoutMillis: number
  readonly #target: Target

  /**
   * @param helper - For messages.
   * @throws TypeError | RangeError that names the option and its value.
   */
  constructor(helper: string, options: DrainOptions) {
    this.#target = new Target(readTarget(helper, options))
    const range = { most: MAX_TIMEOUT_MILLIS }
    this.timeoutMillis = readMillis(helper, 'timeoutMillis', options.timeoutMillis, 5000, range)
  }

  /** Sends what has ended by now. */
  async flush(timeoutMillis = this.timeoutMillis): Promise<void> {
    await this.#target.flush(timeoutMillis)
  }

  /** The same, and what ends soon: an instrumentation's span of the request ends after the handler. */
  async drain(): Promise<void> {
    if (this.#target.processor === undefined) {
      const pauseMillis = Math.min(PROVIDER_PAUSE_MILLIS, this.timeoutMillis / 2)
      await pause(pauseMillis)
      await this.flush(this.timeoutMillis - pauseMillis)
      return
    }
    // Without an active span: the caller's own is among those that are waited for.
    await context.with(ROOT_CONTEXT, () => this.#drainSpans())
  }

  /** Waits for all open spans, but for those of other requests only a moment. What has ended is sent meanwhile. */
  async #drainSpans(): Promise<void> {
    const { timeoutMillis } = this
    const patienceMillis = Math.min(OPEN_SPANS_PATIENCE_MILLIS, timeoutMillis / 2)
    const patience = new AbortController()
    const all = this.#target.flush(timeoutMillis, { openSpans: 'wait', signal: patience.signal })
    let timer: Timer | undefined
    const some = new Promise<void>((resolve) => {
      const flush = () => void this.flush(timeoutMillis - patienceMillis).then(resolve)
      timer = startTimer(flush, patienceMillis, false)
    })
    await Promise.race([all, some])
    timer?.cancel()
    patience.abort()
  }
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => {
    startTimer(resolve, millis, true)
  })
}
