/** What the helpers flush and shut down: a processor of ours, or whatever else can be flushed, within a deadline. */
import type { TracerProvider } from '@opentelemetry/api'
import type { FlushOptions, FlushResult } from '../types.ts'
import { hasMethods, MAX_DELAY_MILLIS, messageOf, warn, wrong } from './checks.ts'
import { startTimer, type Timer } from './timer.ts'

/** As much of our `BatchSpanProcessor` as a helper calls. */
export interface FlushableProcessor {
  flush(options?: FlushOptions): Promise<FlushResult>
  forceFlush(options?: FlushOptions): Promise<void>
  shutdown(options?: FlushOptions): Promise<void>
  stats(): { readonly inFlight: number }
}

/** As much of an SDK's tracer provider as a helper calls. */
export interface FlushableProvider {
  forceFlush(): Promise<unknown>
  shutdown(): Promise<unknown>
}

/** What is flushed: exactly one of `processor` and `provider`. */
export interface TargetOptions {
  /** A `BatchSpanProcessor` of this package. */
  readonly processor?: FlushableProcessor | undefined
  /**
   * Any tracer provider of an SDK, flushed by its own `forceFlush` within our deadline; or `trace.getTracerProvider()`,
   * which stands for the one that is registered when it is flushed.
   */
  readonly provider?: FlushableProvider | TracerProvider | undefined
}

/** How it went: `timeout` if the deadline came first, `failure` if a span was lost or is still pending. */
export type FlushStatus = FlushResult['status']

/** What our own processor, which keeps deadlines itself, may take beyond them for its books, in milliseconds. */
const GRACE_MILLIS = 50
/** Whoever fails at each request is told of once in that time. */
const QUIET_MILLIS = 60_000

/**
 * One way to flush whatever it is. Never throws or rejects, and settles when its time is up: failures, and the timeouts
 * of others, are told to `diag`.
 */
export class Target {
  readonly flushed: unknown
  /** Set if it is ours. */
  readonly processor: FlushableProcessor | undefined
  #quietUntil = 0
  #unsettled = 0

  /** @param flushed - Anything: what has no `forceFlush` is not flushed. */
  constructor(flushed: unknown) {
    this.flushed = flushed
    if (hasMethods(flushed, 'flush', 'forceFlush', 'shutdown', 'stats')) {
      this.processor = flushed as FlushableProcessor
    }
  }

  /** Whether a flush is under way, perhaps long after its time was up. */
  get isFlushing(): boolean {
    return this.#unsettled > 0
  }

  /**
   * Sends what has ended by now.
   * @param options - For processors of ours.
   */
  flush(timeoutMillis: number, options?: FlushOptions): Promise<FlushStatus> {
    const { processor } = this
    const work = async () => {
      this.#unsettled++
      try {
        return await (processor ? processor.flush({ ...options, timeoutMillis }) : this.others.forceFlush?.())
      } finally {
        this.#unsettled--
      }
    }
    return within(this.limitMillis(timeoutMillis), work, (problem) => {
      const now = performance.now()
      if (now < this.#quietUntil) return
      this.#quietUntil = now + QUIET_MILLIS
      this.tell('flush', problem)
    })
  }

  /** Behind the API's own provider is the one that was registered, or one that has nothing to flush. */
  protected get others(): Partial<FlushableProvider> {
    const proxy = this.flushed as { getDelegate?(): Partial<FlushableProvider> }
    return proxy.getDelegate?.() ?? (this.flushed as Partial<FlushableProvider>)
  }

  protected limitMillis(timeoutMillis: number): number {
    return this.processor ? timeoutMillis + GRACE_MILLIS : timeoutMillis
  }

  protected tell(what: string, problem: string): void {
    warn(`a ${what} of the ${this.processor ? 'processor' : 'provider'} ${problem}`)
  }
}

/** The same for whatever is shut down, too; or, if it is an SDK that has nothing but `shutdown`, only that. */
export class ClosableTarget extends Target {
  shutdown(timeoutMillis: number): Promise<FlushStatus> {
    const { processor } = this
    const work = () => (processor ? processor.shutdown({ timeoutMillis }) : this.others.shutdown?.())
    return within(this.limitMillis(timeoutMillis), work, (problem) => this.tell('shutdown', problem))
  }
}

/**
 * Runs work that may throw, reject, or never end. Never rejects.
 * @param tell - Called with what went wrong, to be continued: "failed: …", "took longer than 5 ms".
 */
export async function within(
  timeoutMillis: number,
  work: () => unknown,
  tell: (problem: string) => void,
): Promise<FlushStatus> {
  let timer: Timer | undefined
  const timeout = new Promise<'timeout'>((resolve) => {
    const onTimeout = () => {
      resolve('timeout')
      // With no time at all nobody meant to wait.
      if (timeoutMillis >= 1) tell(`took longer than ${Math.round(timeoutMillis)} ms`)
    }
    timer = startTimer(onTimeout, Math.min(timeoutMillis, MAX_DELAY_MILLIS), true)
  })
  const fail = (cause: unknown) => {
    tell(`failed: ${messageOf(cause)}`)
    return 'failure' as const
  }
  const settled = (async () => work())().then(statusOf, fail)
  const status = await Promise.race([settled, timeout])
  timer?.cancel()
  return status
}

/** The worst of them; success if there are none. */
export function worstOf(statuses: readonly FlushStatus[]): FlushStatus {
  return (['timeout', 'failure'] as const).find((status) => statuses.includes(status)) ?? 'success'
}

/**
 * The one that is to be flushed.
 * @param helper - For messages.
 * @throws TypeError that names the option and its value, unless it is exactly one, and can be flushed.
 */
export function readTarget(helper: string, { processor, provider }: TargetOptions): unknown {
  if (processor !== undefined && provider !== undefined) {
    throw new TypeError(`${helper}: processor and provider are both given, and one of them is enough`)
  }
  if (provider !== undefined) {
    if (isFlushable(provider)) return provider
    throw wrong(helper, 'provider', 'a tracer provider with forceFlush and shutdown', provider)
  }
  if (processor === undefined) throw new TypeError(`${helper}: a processor or a provider must be given`)
  if (hasMethods(processor, 'flush', 'forceFlush', 'shutdown', 'stats')) return processor
  throw wrong(helper, 'processor', "a BatchSpanProcessor of 'tailrace'", processor)
}

/** Whether it is a provider, what stands for one, or a processor. */
export function isFlushable(value: unknown): boolean {
  return hasMethods(value, 'forceFlush', 'shutdown') || hasMethods(value, 'getDelegate')
}

function statusOf(result: unknown): FlushStatus {
  const status = (result as Partial<FlushResult> | null | undefined)?.status
  return status === 'timeout' || status === 'failure' ? status : 'success'
}
