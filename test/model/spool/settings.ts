/** What a sequence of commands is run with: a spool with small bounds, shared by processes with small queues. */
import fc from 'fast-check'
import type { BatchSpanProcessorOptions } from '../../../src/options.ts'

export interface SpoolSettings {
  readonly maxBytes: number
  readonly maxAgeMillis: number
  readonly maxReplaysPerSecond: number
  readonly maxQueueSize: number
  readonly maxExportBatchSize: number
  readonly scheduledDelayMillis: number
  readonly dropPolicy: 'oldest' | 'oldest-trace'
  readonly retry: false | { readonly maxAttempts: number }
  readonly circuitBreaker: false | { readonly failureThreshold: number; readonly probeIntervalMillis: number }
  /** No body is larger. */
  readonly maxBodyBytes: number
}

export const spoolSettings: fc.Arbitrary<SpoolSettings> = fc.record({
  maxBytes: fc.constantFrom(2500, 6000, 1_000_000, 1_000_000),
  maxAgeMillis: fc.constantFrom(60_000, 86_400_000, 86_400_000),
  maxReplaysPerSecond: fc.constantFrom(1, 10, 100),
  maxQueueSize: fc.integer({ min: 3, max: 8 }),
  maxExportBatchSize: fc.integer({ min: 1, max: 3 }),
  scheduledDelayMillis: fc.constantFrom(0, 1000),
  dropPolicy: fc.constantFrom('oldest', 'oldest-trace'),
  retry: fc.constantFrom(false as const, { maxAttempts: 3 }),
  circuitBreaker: fc.oneof(
    fc.constant(false as const),
    fc.record({
      failureThreshold: fc.constantFrom(1, 2),
      probeIntervalMillis: fc.constantFrom(2000, 30_000),
    }),
  ),
  maxBodyBytes: fc.constant(1000),
})

export function processorOptions(settings: SpoolSettings): BatchSpanProcessorOptions {
  const { maxQueueSize, maxExportBatchSize, scheduledDelayMillis, dropPolicy, retry, circuitBreaker } =
    settings
  return { maxQueueSize, maxExportBatchSize, scheduledDelayMillis, dropPolicy, retry, circuitBreaker }
}
