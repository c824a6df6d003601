/** What a sequence of commands is run with: the processor's options, and the manners of its exporter. */
import fc from 'fast-check'
import type { BatchSpanProcessorOptions } from '../../src/options.ts'

export interface RetrySettings {
  readonly maxAttempts: number
  readonly initialBackoffMillis: number
  readonly maxBackoffMillis: number
  readonly multiplier: number
  readonly jitter: number
}

/** The backoff that goes on between batches where `retry` is off: the defaults as documented. */
const DEFAULT_BACKOFF = { initialBackoffMillis: 1000, maxBackoffMillis: 5000, multiplier: 1.5, jitter: 0.2 }

/** How the exporter's own `forceFlush` or `shutdown` behaves. */
export type Manner = 'resolves' | 'rejects' | 'throws' | 'hangs'

/** A small world. Small numbers, so that limits are met all the time. */
export interface Settings {
  readonly exporter: 'encoding' | 'stock'
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly maxExportBatchSize: number
  readonly maxExportBatchBytes: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
  readonly dropPolicy: 'oldest' | 'newest' | 'oldest-trace'
  readonly encodeAt: 'end' | 'flush'
  readonly retry: RetrySettings | false
  readonly circuitBreaker: { readonly failureThreshold: number; readonly probeIntervalMillis: number } | false
  readonly maxExportsPerSecond: number | undefined
  readonly flushOnRootEnd: boolean
  /** The exporter's own bounds, in milliseconds. */
  readonly attemptTimeoutMillis: number | undefined
  readonly batchTimeoutMillis: number | undefined
  readonly forceFlush: Manner | 'absent'
  readonly shutdown: Manner
  readonly hasNumericTimers: boolean
  /** `onDrop` and `onError` do. */
  readonly callbacksThrow: boolean
}

const manners = (['resolves', 'rejects', 'throws', 'hangs'] as const).map((manner) => ({
  weight: manner === 'resolves' ? 5 : 1,
  arbitrary: fc.constant<Manner>(manner),
}))

export const settings: fc.Arbitrary<Settings> = fc
  .record({
    exporter: fc.constantFrom('encoding', 'encoding', 'encoding', 'stock'),
    maxQueueSize: fc.integer({ min: 1, max: 12 }),
    maxQueueBytes: fc.constantFrom(150, 400, 2000, 8 * 1024 * 1024),
    maxExportBatchSize: fc.integer({ min: 1, max: 6 }),
    maxExportBatchBytes: fc.constantFrom(60, 200, 1200, 4 * 1024 * 1024),
    scheduledDelayMillis: fc.constantFrom(5000, 5000, 1000, 0),
    exportTimeoutMillis: fc.constantFrom(30_000, 10_000, 3000, 500),
    dropPolicy: fc.constantFrom('oldest', 'oldest-trace', 'newest'),
    encodeAt: fc.constantFrom('end', 'end', 'flush'),
    retry: fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          maxAttempts: fc.constantFrom(5, 3, 2, 1),
          initialBackoffMillis: fc.constantFrom(1000, 100),
          maxBackoffMillis: fc.constantFrom(5000, 1500),
          multiplier: fc.constantFrom(1.5, 1, 3),
          jitter: fc.constantFrom(0, 0.2, 1),
        }),
      },
      { weight: 1, arbitrary: fc.constant<false>(false) },
    ),
    circuitBreaker: fc.oneof(
      {
        weight: 2,
        arbitrary: fc.record({
          failureThreshold: fc.constantFrom(1, 2, 5),
          probeIntervalMillis: fc.constantFrom(2000, 30_000),
        }),
      },
      { weight: 1, arbitrary: fc.constant<false>(false) },
    ),
    maxExportsPerSecond: fc.constantFrom(undefined, undefined, 0.5, 4, 100),
    flushOnRootEnd: fc.boolean(),
    attemptTimeoutMillis: fc.constantFrom(undefined, 700, 4000),
    batchTimeoutMillis: fc.constantFrom(undefined, undefined, 5000),
    forceFlush: fc.oneof({ weight: 5, arbitrary: fc.constant<'absent'>('absent') }, ...manners),
    shutdown: fc.oneof(...manners),
    hasNumericTimers: fc.boolean(),
    callbacksThrow: fc.boolean(),
  } satisfies Record<keyof Settings, fc.Arbitrary<unknown>>)
  .map((raw) => ({
    ...(raw as Settings),
    maxExportBatchSize: Math.min(raw.maxExportBatchSize, raw.maxQueueSize),
    // Long enough for a stock exporter's lease to end within the attempt that waits for it: what is never handed over
    // cannot be seen from outside.
    exportTimeoutMillis:
      raw.exporter === 'stock' ? Math.max(raw.exportTimeoutMillis, 10_000) : raw.exportTimeoutMillis,
    // Spans that wait as objects are estimated at some 400 bytes and more.
    maxQueueBytes: waitAsObjects(raw as Settings) ? Math.max(raw.maxQueueBytes, 1000) : raw.maxQueueBytes,
  }))

/** Spans wait as objects, at an estimated cost. */
function waitAsObjects({ exporter, encodeAt }: Settings): boolean {
  return exporter === 'stock' || encodeAt === 'flush'
}

/** The backoff between attempts, whether or not a batch is sent twice. */
export function backoffOf({ retry }: Settings): Omit<RetrySettings, 'maxAttempts'> {
  return retry === false ? DEFAULT_BACKOFF : retry
}

/** One batch with all its attempts. A stock exporter names no bounds of its own. */
export function roundMillisOf({ exporter, exportTimeoutMillis, batchTimeoutMillis }: Settings): number {
  return exporter === 'stock'
    ? exportTimeoutMillis
    : Math.min(exportTimeoutMillis, batchTimeoutMillis ?? Infinity)
}

/** Whether the next attempt begins a round of its own: an answer could hardly come in what is left of this one. */
export function isRoundOver(startedAt: number | undefined, now: number, settings: Settings): boolean {
  const roundMillis = roundMillisOf(settings)
  return startedAt === undefined || startedAt + roundMillis - now < Math.min(1000, roundMillis / 4)
}

/** One attempt. */
export function attemptMillisOf(settings: Settings): number {
  const { exporter, attemptTimeoutMillis } = settings
  const round = roundMillisOf(settings)
  return exporter === 'stock' ? round : Math.min(round, attemptTimeoutMillis ?? Infinity)
}

/** A batch is sent once, and dropped if that fails. */
export function sendsOnce({ retry }: Settings): boolean {
  return retry === false || retry.maxAttempts === 1
}

export function optionsOf(settings: Settings): BatchSpanProcessorOptions {
  const { maxExportsPerSecond, retry, circuitBreaker } = settings
  return {
    maxQueueSize: settings.maxQueueSize,
    maxQueueBytes: settings.maxQueueBytes,
    maxExportBatchSize: settings.maxExportBatchSize,
    maxExportBatchBytes: settings.maxExportBatchBytes,
    scheduledDelayMillis: settings.scheduledDelayMillis,
    exportTimeoutMillis: settings.exportTimeoutMillis,
    dropPolicy: settings.dropPolicy,
    encodeAt: settings.encodeAt,
    retry,
    circuitBreaker,
    flushOnRootEnd: settings.flushOnRootEnd,
    ...(maxExportsPerSecond !== undefined && { rateLimit: { maxExportsPerSecond } }),
  }
}
