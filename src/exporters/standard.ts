/** Lets the drain loop drive a stock exporter: Zipkin, console, a vendor's, or a subclass of ours. */
import { LEASE_GRACE_MILLIS } from '../pipeline/attempt.ts'
import { NO_TIMER, startTimer, type Timer } from '../pipeline/deadline.ts'
import { describe } from '../pipeline/report.ts'
import { suppressTracing } from '../pipeline/suppress.ts'
import {
  type Attempt,
  type ComponentDescription,
  ExportError,
  type ExportResult,
  type Outcome,
  type ReadableSpan,
  type Resource,
  type Sender,
  type SpanExporter,
} from '../types.ts'

/** A resource that is still being detected is waited for this long, in milliseconds. */
const RESOURCE_PATIENCE_MILLIS = 5000

const DELIVERED: Outcome = { kind: 'delivered', rejected: 0 }

/**
 * Wraps an exporter that takes span objects. It does its own retries, so its FAILED is final, as specified:
 * https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-exporter
 */
export class StockExporterAdapter implements Sender<ReadableSpan[]> {
  readonly description: ComponentDescription
  /** Absent where the exporter has none: there is then nothing to wait for. */
  readonly forceFlush?: () => Promise<void>
  readonly #exporter: SpanExporter
  /** An export that timed out still counts as running, so that abandoned ones do not pile up. */
  #running: Promise<void> | undefined

  constructor(exporter: SpanExporter) {
    this.#exporter = exporter
    this.description = { type: exporter.constructor?.name || 'SpanExporter' }
    if (typeof exporter.forceFlush === 'function') this.forceFlush = async () => exporter.forceFlush?.()
  }

  async send(spans: ReadableSpan[], { signal, timeoutMillis }: Attempt): Promise<Outcome> {
    const pending = pendingResources(spans)
    if (this.#running !== undefined || pending.length > 0) {
      const ready = Promise.all([
        this.#running,
        settledWithin(pending, Math.min(RESOURCE_PATIENCE_MILLIS, timeoutMillis / 2)),
      ])
      await Promise.race([ready, aborted(signal)])
      if (signal.aborted) return timedOut(timeoutMillis)
    }
    return this.#export(spans, signal, timeoutMillis)
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown()
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

      let lease: Timer = NO_TIMER
      const onAbort = () => {
        resolve(timedOut(timeoutMillis))
        lease = startTimer(finish, LEASE_GRACE_MILLIS)
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

function timedOut(timeoutMillis: number): Outcome {
  return {
    kind: 'final',
    error: new ExportError(
      'timeout',
      `the exporter did not call back within ${Math.round(timeoutMillis)} ms`,
    ),
  }
}

function pendingResources(spans: ReadableSpan[]): Resource[] {
  const pending = new Set<Resource>()
  for (const { resource } of spans) if (resource?.asyncAttributesPending) pending.add(resource)
  return [...pending]
}

async function settledWithin(resources: Resource[], millis: number): Promise<void> {
  if (resources.length === 0) return
  const settled = Promise.allSettled(resources.map(async (resource) => resource.waitForAsyncAttributes?.()))
  let timer: Timer = NO_TIMER
  const patienceEnds = new Promise<void>((resolve) => {
    timer = startTimer(resolve, millis)
  })
  await Promise.race([settled, patienceEnds])
  timer.cancel()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
