/**
 * What the pipeline tells its user: callbacks, and lines of `diag`. State changes are told, not every failure; a
 * callback that throws or rejects is contained, and reported once.
 */
import { diag } from '@opentelemetry/api'
import type { DropReason, ExportError, ExportResult } from '../types.ts'
import { monotonicNow } from './deadline.ts'
import { suppressTracing } from './suppress.ts'
import { Announcement } from './wait.ts'

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

/** A line names no more scopes than this. */
const MAX_SCOPES_TOLD = 5

/** Tells the user of one processor. */
export class Reporter {
  readonly #callbacks: ReportCallbacks
  readonly #drops = new Map<DropReason, number>()
  readonly #dropsReported = new Announcement(() => this.#reportDrops())
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
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count)
    this.#dropsReported.makeSoon()
  }

  /**
   * An export failed. `onError` hears of it whenever exports begin to fail, however soon after the last time; of another
   * failure than before once a minute, as the log does of either.
   */
  failed(error: ExportError): void {
    const previous = this.#lastError
    this.#lastError = error
    if (previous?.code === error.code && previous.status === error.status) return
    const isTold = this.#tell(
      'error',
      `failed ${error.code} ${error.status}`,
      `export failed: ${error.message}`,
    )
    if (isTold || previous === undefined) this.#call('onError', () => this.#callbacks.onError?.(error))
  }

  recovered(): void {
    if (this.#lastError === undefined) return
    this.#lastError = undefined
    this.#tell('info', 'recovered', 'exports succeed again')
  }

  /** The backend took a batch and rejected some of its spans. */
  rejected(error: ExportError): void {
    this.#tellError('rejected', error.message, error)
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

  flushTimedOut(pending: number, ageMillis: number): void {
    const way = ageMillis > 0 ? `the oldest on their way for ${Math.round(ageMillis)} ms` : 'none on its way'
    this.#warn('flush', `a flush timed out: ${pending} spans pending, ${way}`)
  }

  /** @param scopes - How many spans of each. */
  endedLate(scopes: ReadonlyMap<string, number>): void {
    let count = 0
    for (const spans of scopes.values()) count += spans
    const names = [...scopes].slice(0, MAX_SCOPES_TOLD).map(([name, spans]) => `${name} (${spans})`)
    const others = scopes.size > names.length ? ' and others' : ''
    this.#warn(
      'late',
      `${count} spans ended after the last flush of an invocation and waited for the next one: ${names.join(', ')}${others}`,
    )
  }

  #reportDrops(): void {
    const drops = [...this.#drops]
    this.#drops.clear()
    for (const [reason, count] of drops) {
      this.#warn(`drop ${reason}`, `dropped ${count} spans (${reason})`)
      this.#call('onDrop', () => this.#callbacks.onDrop?.({ reason, count }))
    }
  }

  #tellError(kind: string, message: string, error: ExportError): void {
    if (this.#tell('error', kind, message)) this.#call('onError', () => this.#callbacks.onError?.(error))
  }

  #warn(kind: string, message: string): void {
    this.#tell('warn', kind, message)
  }

  /** @returns False while it keeps quiet about that kind of thing. */
  #tell(level: 'error' | 'warn' | 'info', kind: string, message: string): boolean {
    const now = monotonicNow()
    if (now < (this.#quietUntil.get(kind) ?? 0)) return false
    this.#quietUntil.set(kind, now + QUIET_MILLIS)
    log(level, message)
    return true
  }

  #call(name: string, callback: () => unknown): void {
    const report = (cause: unknown) => {
      if (this.#brokenCallbacks.has(name)) return
      this.#brokenCallbacks.add(name)
      log('error', `${name} failed: ${describe(cause)}`)
    }
    try {
      Promise.resolve(suppressTracing(callback)).then(undefined, report)
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

/** Gives a processor the result that it asked for. One that throws must not break the exporter. */
export function callBack(resultCallback: (result: ExportResult) => void, result: ExportResult): void {
  try {
    resultCallback(result)
  } catch (cause) {
    log('error', `the result callback failed: ${describe(cause)}`)
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

/** A value that an option was given, as a message shows it. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  try {
    return String(value).slice(0, 100)
  } catch {
    return `an ${typeof value}`
  }
}
