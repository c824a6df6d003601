/** What a Lambda helper flushes, and what it tells of invocations. */
import { diag } from '@opentelemetry/api'
import { ClosableTarget } from './target.ts'

/** How invocations mark their limits on the processor, so that it can tell which spans ended between two of them. */
const INVOCATION = Symbol.for('tailrace.invocation')

type Mark = (limit: 'start' | 'end') => void

/** Flushes within a deadline, and knows whether invocations are running. No method rejects or throws. */
export class LambdaTarget extends ClosableTarget {
  #running = 0

  /**
   * An invocation begins. Of those that overlap, the first one counts.
   * @param isAlone - Whichever came before is over, whether it said so or not.
   */
  invocationStarted(isAlone: boolean): void {
    this.#running = isAlone ? 1 : this.#running + 1
    if (this.#running === 1) this.#mark('start')
  }

  /** The last flush of an invocation is over. Of those that overlap, the last one counts. */
  invocationEnded(): void {
    if (--this.#running === 0) this.#mark('end')
  }

  /** Whether an export may be under way, this invocation's or an earlier one's. */
  get isExporting(): boolean {
    return this.isFlushing || (this.processor?.stats().inFlight ?? 0) > 0
  }

  #mark(limit: 'start' | 'end'): void {
    try {
      ;(this.processor as { [INVOCATION]?: Mark } | undefined)?.[INVOCATION]?.(limit)
    } catch (cause) {
      diag.debug('tailrace/lambda: the processor does not take marks', cause)
    }
  }
}
