/**
 * What the pipeline tells its user: callbacks, and lines of `diag`. State changes are told, not every failure; a
 * callback that throws or rejects is contained, and reported once.
 */
import { diag } from '@opentelemetry/api'
import type { DropReason, ExportError } from '../types.ts'
import { monotonicNow } from './deadline.ts'

/** A drop as `onDrop` hears of it. */
export interface Drop {
  reason: DropReason
  count: number
}

/** The user's callbacks. */
export interface ReportCallbacks {
  readonly onDrop?: ((drop: Drop) => void) | undefined
  readonly onError?: ((error: ExportError) => void) | undefined
}

/** A warning of one kind is not repeated sooner, in milliseconds. */
const QUIET_MILLIS = 60_000

/** Tells the user of one processor. */
export class Reporter {
  readonly #callbacks: ReportCallbacks
  readonly #drops = new Map<DropReason, number>()
  readonly #quietUntil = new Map<string, number>()
  readonly #brokenCallbacks = new Set<string>()
  #lastError: ExportError | undefined

  constructor(callbacks: ReportCallbacks) {
    this.#callbacks = callbacks
  }

  /** What the exports have been failing with since the last success. */
  get lastError(): ExportError | undefined {
    return this.#lastError
  }

  /** Takes note of a drop. `onDrop` hears of it after the code that is running, once for all drops of a reason. */
  dropped(reason: DropReason, count: number): void {
    if (this.#drops.size === 0) queueMicrotask(() => this.#reportDrops())
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count)
  }

  /** An export failed. `onError` hears of it when it is the first failure, or another one than before. */
  failed(error: ExportError): void {
    const previous = this.#lastError
    this.#lastError = error
    if (previous?.code === error.code && previous.status === error.status) return
    log('error', `export failed: ${error.message}`)
    this.#call('onError', () => this.#callbacks.onError?.(error))
  }

  recovered(): void {
    if (this.#lastError === undefined) return
    this.#lastError = undefined
    log('info', 'exports succeed again')
  }

  /** The backend took a batch and rejected some of its spans. */
  rejected(error: ExportError): void {
    this.#warn('rejected', error.message)
    this.#call('onError', () => this.#callbacks.onError?.(error))
  }

  exporterFailed(cause: unknown): void {
    this.#warn('exporter', `the exporter's own flush or shutdown failed: ${describe(cause)}`)
  }

  drainFailed(cause: unknown): void {
    this.#warn('drain', `an export was interrupted, and is resumed later: ${describe(cause)}`)
  }

  encodingFailed(cause: unknown): void {
    this.#warn('encode', `a span cannot be encoded and is dropped: ${describe(cause)}`)
  }

  flushTimedOut(message: string): void {
    this.#warn('flush', message)
  }

  #reportDrops(): void {
    const drops = [...this.#drops]
    this.#drops.clear()
    for (const [reason, count] of drops) {
      this.#warn(`drop ${reason}`, `dropped ${count} spans (${reason})`)
      this.#call('onDrop', () => this.#callbacks.onDrop?.({ reason, count }))
    }
  }

  #warn(kind: string, message: string): void {
    const now = monotonicNow()
    if (now < (this.#quietUntil.get(kind) ?? 0)) return
    this.#quietUntil.set(kind, now + QUIET_MILLIS)
    log('warn', message)
  }

  #call(name: string, callback: () => unknown): void {
    const report = (cause: unknown) => {
      if (this.#brokenCallbacks.has(name)) return
      this.#brokenCallbacks.add(name)
      log('error', `${name} failed: ${describe(cause)}`)
    }
    try {
      Promise.resolve(callback()).then(undefined, report)
    } catch (cause) {
      report(cause)
    }
  }
}

/** Tells `diag`. A logger that throws must not break what it reports on. */
export function log(level: 'error' | 'warn' | 'info', message: string): void {
  try {
    diag[level](`tailrace: ${message}`)
  } catch {
    // There is nobody left to tell.
  }
}

/** A short text for anything that can be thrown. */
export function describe(cause: unknown): string {
  try {
    return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  } catch {
    return 'unknown'
  }
}
