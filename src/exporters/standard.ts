/** Lets the drain loop drive a stock exporter: Zipkin, console, a vendor's, or a subclass of ours. */
import { LEASE_GRACE_MILLIS } from '../pipeline/attempt.ts'
import { monotonicNow, NO_TIMER, startTimer, type Timer, unlessAborted } from '../pipeline/deadline.ts'
import { describe } from '../pipeline/report.ts'
import { suppressTracing } from '../pipeline/suppress.ts'
import {
  type Attempt,
  type ComponentDescription,
  ExportError,
  type ExportResult,
  type Outcome,
  type ReadableSpan,
  type Sender,
  type SpanExporter,
} from '../types.ts'

const DELIVERED: Outcome = { kind: 'delivered', rejected: 0 }

/**
 * Wraps an exporter that takes span objects. It does its own retries, so its FAILED is final, as specified:
 * https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-exporter
 */
export class StockExporterAdapter implements Sender<ReadableSpan[]> {
  readonly description: ComponentDescription
  /** https://opentelemetry.io/docs/specs/otel/trace/sdk/#exportbatch: never called concurrently. */
  readonly isSerial = true
  /** Absent where the exporter has none: there is then nothing to wait for. */
  readonly forceFlush?: () => Promise<void>
  readonly #exporter: SpanExporter
  /** An export that timed out still counts as running, so that abandoned ones do not pile up. */
  #running: Promise<void> | undefined
  /** Ends the lease of an export that timed out. */
  #leaseEnd: Timer = NO_TIMER
  /** When the running export has lost its lease, timers or not: on Workers they die with the request. */
  #leaseEndsAt = 0

  constructor(exporter: SpanExporter) {
    this.#exporter = exporter
    this.description = { type: exporter.constructor?.name || 'SpanExporter' }
    if (typeof exporter.forceFlush === 'function') this.forceFlush = async () => exporter.forceFlush?.()
  }

  async send(spans: ReadableSpan[], { signal, timeoutMillis }: Attempt): Promise<Outcome> {
    if (this.#running !== undefined) {
      await this.#leaseEnds(this.#running, signal)
      if (signal.aborted) return neverHandedOver()
    }
    return this.#export(spans, signal, timeoutMillis)
  }

  abandoned(): void {
    this.#running = undefined
  }

  async shutdown(): Promise<void> {
    this.#leaseEnd.cancel()
    await this.#exporter.shutdown()
  }

  /** Waits for the running export: to its end, or as long as it may hold up others. */
  async #leaseEnds(running: Promise<void>, signal: AbortSignal): Promise<void> {
    let timer = NO_TIMER
    const leaseEnd = new Promise<void>((resolve) => {
      timer = startTimer(resolve, this.#leaseEndsAt - monotonicNow())
    })
    await unlessAborted(Promise.race([running, leaseEnd]), signal)
    timer.cancel()
  }

  #export(spans: ReadableSpan[], signal: AbortSignal, timeoutMillis: number): Promise<Outcome> {
    return new Promise((resolve) => {
      let finish: () => void = () => {}
      const running = new Promise<void>((done) => {
        finish = done
      }).then(() => {
        if (this.#running === running) this.#running = undefined
      })
      this.#running = running
      this.#leaseEndsAt = monotonicNow() + timeoutMillis + 2 * LEASE_GRACE_MILLIS

      let lease: Timer = NO_TIMER
      const onAbort = () => {
        resolve(timedOut(timeoutMillis))
        this.#leaseEndsAt = monotonicNow() + LEASE_GRACE_MILLIS
        lease = this.#leaseEnd = startTimer(finish, LEASE_GRACE_MILLIS)
      }
      const settle = (outcome: Outcome) => {
        signal.removeEventListener('abort', onAbort)
        lease.cancel()
        finish()
        resolve(outcome)
      }
      const fail = (cause: unknown) => settle(failed(cause, 'the exporter failed'))
      signal.addEventListener('abort', onAbort)
      try {
        const returned: unknown = suppressTracing(() =>
          this.#exporter.export(spans, (result: ExportResult) => {
            if (result?.code === 0) settle(DELIVERED)
            else fail(result?.error)
          }),
        )
        // An async `export` that rejects never calls back.
        Promise.resolve(returned).then(undefined, fail)
      } catch (cause) {
        fail(cause)
      }
    })
  }
}

function failed(cause: unknown, message: string): Outcome {
  const reason = cause === undefined ? '' : `: ${describe(cause)}`
  return { kind: 'final', error: new ExportError('exporter_failed', message + reason, { cause }) }
}

/** The exporter has not seen the batch: nothing is lost, and nothing would be sent twice. */
function neverHandedOver(): Outcome {
  return { kind: 'retryable', error: new ExportError('timeout', 'an earlier export is still running') }
}

function timedOut(timeoutMillis: number): Outcome {
  return {
    kind: 'final',
    error: new ExportError(
      'timeout',
      `the exporter did not call back within ${Math.round(timeoutMillis)} ms`,
    ),
  }
}
