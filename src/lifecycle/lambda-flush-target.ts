/** What a Lambda helper flushes: a processor of ours, or a provider of whatever kind. */
import { diag } from '@opentelemetry/api'

/** A processor of ours, as far as the helper knows it. */
export interface LambdaProcessor {
  flush(options?: { timeoutMillis?: number }): Promise<unknown>
  forceFlush(options?: { timeoutMillis?: number }): Promise<unknown>
  shutdown(options?: { timeoutMillis?: number }): Promise<unknown>
  stats(): { readonly inFlight: number }
}

/** A tracer provider, with whatever processors inside; or what stands in for one, as the API's global provider does. */
export type LambdaProvider =
  | { forceFlush(): Promise<unknown>; shutdown(): Promise<unknown> }
  | { getDelegate(): unknown }

/** How invocations mark their limits on the processor, so that it can tell which spans ended between two of them. */
const INVOCATION = Symbol.for('tailrace.invocation')

/** Flushes within a deadline. No method rejects or throws. */
export class FlushTarget {
  readonly #flush: (timeoutMillis: number) => Promise<unknown>
  readonly #shutdown: (timeoutMillis: number) => Promise<unknown>
  readonly #mark: (limit: 'start' | 'end') => void
  readonly #inFlight: () => number
  #running = 0
  /** Flushes that have not settled, perhaps long after their time was up. */
  #unsettled = 0

  constructor(processor: LambdaProcessor | undefined, provider: LambdaProvider | undefined) {
    this.#flush = processor
      ? (timeoutMillis) => processor.flush({ timeoutMillis })
      : async () => providerIn(provider)?.forceFlush?.()
    this.#shutdown = processor
      ? (timeoutMillis) => processor.shutdown({ timeoutMillis })
      : async () => providerIn(provider)?.shutdown?.()
    this.#inFlight = () => processor?.stats().inFlight ?? 0
    this.#mark = (limit) => {
      const marked = processor as { [INVOCATION]?: (limit: 'start' | 'end') => void } | undefined
      marked?.[INVOCATION]?.(limit)
    }
  }

  flush(timeoutMillis: number): Promise<void> {
    return bounded('flush', () => this.#counted(timeoutMillis), timeoutMillis)
  }

  shutdown(timeoutMillis: number): Promise<void> {
    return bounded('shutdown', () => this.#shutdown(timeoutMillis), timeoutMillis)
  }

  /**
   * An invocation begins. Of those that overlap, the first one counts.
   * @param isAlone - Whichever came before is over, whether it said so or not.
   */
  invocationStarted(isAlone: boolean): void {
    this.#running = isAlone ? 1 : this.#running + 1
    if (this.#running === 1) this.#contain(() => this.#mark('start'))
  }

  /** The last flush of an invocation is over. Of those that overlap, the last one counts. */
  invocationEnded(): void {
    if (--this.#running === 0) this.#contain(() => this.#mark('end'))
  }

  /** Whether an export may be under way. */
  get isExporting(): boolean {
    return this.#unsettled > 0 || this.#inFlight() > 0
  }

  async #counted(timeoutMillis: number): Promise<void> {
    this.#unsettled++
    try {
      await this.#flush(timeoutMillis)
    } finally {
      this.#unsettled--
    }
  }

  #contain(work: () => void): void {
    try {
      work()
    } catch (cause) {
      diag.debug('tailrace/lambda: the processor does not take marks', cause)
    }
  }
}

interface Flushable {
  forceFlush?(): Promise<unknown>
  shutdown?(): Promise<unknown>
}

/** The API's global provider stands in for another one, perhaps registered later. */
function providerIn(provider: LambdaProvider | undefined): Flushable | undefined {
  if (provider === undefined || 'forceFlush' in provider) return provider
  return provider.getDelegate() as Flushable
}

/** Settles when the work does, but no later than `timeoutMillis` from now. The caller waits, so its timer counts. */
async function bounded(name: string, work: () => Promise<unknown>, timeoutMillis: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMillis)
  })
  const done = async () => {
    try {
      await work()
    } catch (cause) {
      diag.warn(`tailrace/lambda: ${name} failed`, cause)
    }
  }
  await Promise.race([done(), timeUp])
  clearTimeout(timer)
}
