/** The options of the processor: defaults, validation, `OTEL_BSP_*`. */
import type { MeterProvider } from '@opentelemetry/api'
import { environmentNumber, isWorkers, warnOnce } from './environment.ts'
import { type CircuitBreakerOptions, DEFAULT_CIRCUIT_BREAKER } from './pipeline/breaker.ts'
import { MAX_DELAY_MILLIS } from './pipeline/deadline.ts'
import { type Drop, describe, log, show } from './pipeline/report.ts'
import { DEFAULT_RETRY, type RetryOptions } from './pipeline/retry.ts'
import { ENDS_REQUEST, REQUEST_SCOPE, type RequestOptions, type RequestScope } from './request.ts'
import type { ExportError, FlushOptions } from './types.ts'

/**
 * What `new BatchSpanProcessor()` takes. Everything may be left out; what is given in code stands above the
 * environment. Names, defaults and variables are those of the specification where it has them:
 * https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor
 */
export interface BatchSpanProcessorOptions {
  /** Spans that may wait; beyond that `dropPolicy` decides. Default 2048, or `OTEL_BSP_MAX_QUEUE_SIZE`. */
  readonly maxQueueSize?: number | undefined
  /**
   * Bytes that the waiting spans may take: encoded bytes (some 24 bytes a span for bookkeeping come on top), or an
   * estimate where spans wait as objects. Default 8 MiB.
   */
  readonly maxQueueBytes?: number | undefined
  /** Spans in one export; as many wake the loop. Default 512, or `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`. */
  readonly maxExportBatchSize?: number | undefined
  /** Bytes in one export, before compression; a larger span travels alone. Default 4 MiB; OTLP in pages 32 KiB. */
  readonly maxExportBatchBytes?: number | undefined
  /**
   * How long a span waits at most for its batch to fill, in milliseconds. 0: no timer at all; full batches, flush and
   * shutdown still send. Default 5000, or `OTEL_BSP_SCHEDULE_DELAY`.
   */
  readonly scheduledDelayMillis?: number | undefined
  /**
   * Bound on one batch with all its attempts and waits, in milliseconds; 0: none. Default 30000, or
   * `OTEL_BSP_EXPORT_TIMEOUT`.
   */
  readonly exportTimeoutMillis?: number | undefined
  /** How long `flush` and `forceFlush` wait when they are not told, in milliseconds. Default 2000. */
  readonly flushTimeoutMillis?: number | undefined
  /** How long `shutdown` waits when it is not told, in milliseconds. Default 8000. */
  readonly shutdownTimeoutMillis?: number | undefined
  /**
   * Which span gives way when the queue is full. `'oldest-trace'`: whole traces, the oldest first and those of which
   * nothing was sent yet before others; their roots and errors stay, as long as they are no more than an eighth of what
   * waits. Default `'oldest'`.
   */
  readonly dropPolicy?: 'oldest' | 'newest' | 'oldest-trace' | undefined
  /**
   * When spans are encoded for an exporter of ours: as they end, or as their batch is sent, so that a later processor
   * can still change them in `onEnd`. Default `'end'`.
   */
  readonly encodeAt?: 'end' | 'flush' | undefined
  /** How failed batches are sent again; `false`: never. Default: 5 attempts, 1 s × 1.5, at most 5 s, ±20 %. */
  readonly retry?: Partial<RetryOptions> | false | undefined
  /** When to stop asking a backend that is down; `false`: never. Default: after 5 failures, one probe every 30 s. */
  readonly circuitBreaker?: Partial<CircuitBreakerOptions> | false | undefined
  /** Never more exports than this. Default: no limit. */
  readonly rateLimit?: { readonly maxExportsPerSecond: number } | undefined
  /** Sends what waits as soon as a local root span ends. Default false. */
  readonly flushOnRootEnd?: boolean | undefined
  /**
   * For runtimes where promises, timers and sockets belong to the request that made them: each flush then sends in its
   * own request, and nothing is sent without one. Default: true on Cloudflare Workers, false elsewhere.
   */
  readonly requestScoped?: boolean | undefined
  /** Browsers: hiding the page flushes, unless this is true. Default false. */
  readonly disableAutoFlushOnDocumentHide?: boolean | undefined
  /** Told of dropped spans, after the code that dropped them. May throw: it is contained. */
  readonly onDrop?: ((drop: Drop) => void) | undefined
  /** Told when exports begin to fail, or fail differently. May throw: it is contained. */
  readonly onError?: ((error: ExportError) => void) | undefined
  /** Where the SDK's own metrics go. Default: nowhere. */
  readonly selfObsMeterProvider?: MeterProvider | undefined
}

/** The options, completed. */
export interface ProcessorConfiguration {
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly maxExportBatchSize: number
  readonly maxExportBatchBytes: number
  readonly scheduledDelayMillis: number
  readonly exportTimeoutMillis: number
  readonly flushTimeoutMillis: number
  readonly shutdownTimeoutMillis: number
  readonly dropPolicy: 'oldest' | 'newest' | 'oldest-trace'
  readonly encodeAt: 'end' | 'flush'
  readonly retry: RetryOptions
  readonly circuitBreaker: CircuitBreakerOptions | undefined
  readonly maxExportsPerSecond: number | undefined
  readonly flushOnRootEnd: boolean
  readonly requestScoped: boolean
  readonly disableAutoFlushOnDocumentHide: boolean
  readonly onDrop: ((drop: Drop) => void) | undefined
  readonly onError: ((error: ExportError) => void) | undefined
  readonly selfObsMeterProvider: MeterProvider | undefined
}

interface NumberRule {
  readonly min: number
  readonly max: number
  readonly integer: boolean
  readonly fallback: number
  readonly variable?: string
}

const COUNT = { min: 1, max: 2 ** 31 - 1, integer: true }
const MILLIS = { min: 0, max: MAX_DELAY_MILLIS, integer: false }
const MIB = 1024 * 1024

const NUMBERS = {
  maxQueueSize: { ...COUNT, fallback: 2048, variable: 'OTEL_BSP_MAX_QUEUE_SIZE' },
  maxQueueBytes: { ...COUNT, fallback: 8 * MIB },
  maxExportBatchSize: { ...COUNT, fallback: 512, variable: 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE' },
  maxExportBatchBytes: { ...COUNT, fallback: 4 * MIB },
  scheduledDelayMillis: { ...MILLIS, fallback: 5000, variable: 'OTEL_BSP_SCHEDULE_DELAY' },
  exportTimeoutMillis: { ...MILLIS, fallback: 30_000, variable: 'OTEL_BSP_EXPORT_TIMEOUT' },
  flushTimeoutMillis: { ...MILLIS, fallback: 2000 },
  shutdownTimeoutMillis: { ...MILLIS, fallback: 8000 },
} satisfies Record<string, NumberRule>

const RETRY_NUMBERS = {
  maxAttempts: { ...COUNT, fallback: DEFAULT_RETRY.maxAttempts },
  initialBackoffMillis: { ...MILLIS, fallback: DEFAULT_RETRY.initialBackoffMillis },
  maxBackoffMillis: { ...MILLIS, fallback: DEFAULT_RETRY.maxBackoffMillis },
  multiplier: { min: 1, max: 1000, integer: false, fallback: DEFAULT_RETRY.multiplier },
  jitter: { min: 0, max: 1, integer: false, fallback: DEFAULT_RETRY.jitter },
} satisfies Record<string, NumberRule>

const BREAKER_NUMBERS = {
  failureThreshold: { ...COUNT, fallback: DEFAULT_CIRCUIT_BREAKER.failureThreshold },
  probeIntervalMillis: { ...MILLIS, fallback: DEFAULT_CIRCUIT_BREAKER.probeIntervalMillis },
} satisfies Record<string, NumberRule>

const FLAGS = ['flushOnRootEnd', 'requestScoped', 'disableAutoFlushOnDocumentHide'] as const
const FUNCTIONS = ['onDrop', 'onError'] as const
const CHOICES = { dropPolicy: ['oldest', 'newest', 'oldest-trace'], encodeAt: ['end', 'flush'] } as const
const GROUPS = ['retry', 'circuitBreaker', 'rateLimit', 'selfObsMeterProvider', 'exporter'] as const
const KNOWN = new Set<string>([
  ...Object.keys(NUMBERS),
  ...FLAGS,
  ...FUNCTIONS,
  ...Object.keys(CHOICES),
  ...GROUPS,
])

/**
 * Validates the options and fills the gaps from the environment and the defaults.
 * @throws TypeError | RangeError that names the option and its value. A wrong environment variable is only warned about.
 */
export function configureProcessor(options: BatchSpanProcessorOptions): ProcessorConfiguration {
  if (!isObject(options)) throw wrong('options', options, 'an object')
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) warnOnce(`BatchSpanProcessor: unknown option ${name} is ignored`)
  }
  for (const name of FLAGS) check(options[name], 'boolean', name)
  for (const name of FUNCTIONS) check(options[name], 'function', name)
  check(options.selfObsMeterProvider, 'object', 'selfObsMeterProvider')
  const numbers = readNumbers(NUMBERS, options, '')
  return {
    ...numbers,
    maxExportBatchSize: clampBatch(numbers, options),
    dropPolicy: choose(options, 'dropPolicy'),
    encodeAt: choose(options, 'encodeAt'),
    retry: configureRetry(options.retry),
    circuitBreaker: readGroup(options.circuitBreaker, BREAKER_NUMBERS, 'circuitBreaker'),
    maxExportsPerSecond: configureRateLimit(options.rateLimit),
    flushOnRootEnd: options.flushOnRootEnd ?? false,
    requestScoped: options.requestScoped ?? isWorkers(),
    disableAutoFlushOnDocumentHide: options.disableAutoFlushOnDocumentHide ?? false,
    onDrop: options.onDrop,
    onError: options.onError,
    selfObsMeterProvider: options.selfObsMeterProvider,
  }
}

/** What a caller wants, made safe. */
export interface Call {
  readonly timeoutMillis: number
  readonly signal: AbortSignal | undefined
  readonly waitsForOpenSpans: boolean
  readonly endsRequest: boolean
  readonly request: RequestScope | undefined
}

/** How long a caller waits, and what ends its wait. What is wrong is not thrown: callers stand in `finally`. */
export function readCall(options: FlushOptions | undefined, fallbackMillis: number): Call {
  try {
    const signal = options?.signal
    const isSignal =
      typeof signal?.addEventListener === 'function' && typeof signal.removeEventListener === 'function'
    return {
      timeoutMillis: callTimeoutMillis(options?.timeoutMillis, fallbackMillis),
      signal: isSignal ? signal : undefined,
      waitsForOpenSpans: options?.openSpans === 'wait',
      endsRequest: (options as RequestOptions | undefined)?.[ENDS_REQUEST] === true,
      request: (options as RequestOptions | undefined)?.[REQUEST_SCOPE],
    }
  } catch (cause) {
    log('warn', `the options of a flush cannot be read: ${describe(cause)}`)
    return {
      timeoutMillis: fallbackMillis,
      signal: undefined,
      waitsForOpenSpans: false,
      endsRequest: false,
      request: undefined,
    }
  }
}

function callTimeoutMillis(value: unknown, fallback: number): number {
  if (value === undefined) return fallback
  if (typeof value === 'number' && value >= 0 && value <= MAX_DELAY_MILLIS) return value
  if (value === Infinity) return MAX_DELAY_MILLIS
  log('warn', `timeoutMillis must be from 0 to ${MAX_DELAY_MILLIS}, not ${show(value)}: using ${fallback}`)
  return fallback
}

function clampBatch(
  numbers: { maxQueueSize: number; maxExportBatchSize: number },
  options: BatchSpanProcessorOptions,
): number {
  const { maxQueueSize, maxExportBatchSize } = numbers
  if (maxExportBatchSize <= maxQueueSize) return maxExportBatchSize
  if (
    options.maxExportBatchSize !== undefined ||
    environmentNumber(NUMBERS.maxExportBatchSize.variable, COUNT)
  ) {
    log(
      'warn',
      `maxExportBatchSize (${maxExportBatchSize}) is larger than maxQueueSize, using ${maxQueueSize}`,
    )
  }
  return maxQueueSize
}

function configureRetry(retry: BatchSpanProcessorOptions['retry']): RetryOptions {
  return readGroup(retry, RETRY_NUMBERS, 'retry') ?? { ...DEFAULT_RETRY, maxAttempts: 1 }
}

function configureRateLimit(rateLimit: BatchSpanProcessorOptions['rateLimit']): number | undefined {
  if (rateLimit === undefined) return undefined
  if (!isObject(rateLimit)) throw wrong('rateLimit', rateLimit, 'an object')
  const { maxExportsPerSecond } = rateLimit
  if (
    typeof maxExportsPerSecond === 'number' &&
    maxExportsPerSecond >= 0.001 &&
    maxExportsPerSecond < Infinity
  ) {
    return maxExportsPerSecond
  }
  throw wrong('rateLimit.maxExportsPerSecond', maxExportsPerSecond, 'a number of at least 0.001', RangeError)
}

function readGroup<Rules extends Record<string, NumberRule>>(
  group: unknown,
  rules: Rules,
  name: string,
): Record<keyof Rules, number> | undefined {
  if (group === false) return undefined
  if (group !== undefined && !isObject(group)) throw wrong(name, group, 'an object or false')
  for (const key of Object.keys(group ?? {})) {
    if (!Object.hasOwn(rules, key)) warnOnce(`BatchSpanProcessor: unknown option ${name}.${key} is ignored`)
  }
  return readNumbers(rules, group ?? {}, `${name}.`)
}

function readNumbers<Rules extends Record<string, NumberRule>>(
  rules: Rules,
  values: object,
  prefix: string,
): Record<keyof Rules, number> {
  const numbers: Record<string, number> = {}
  for (const [name, rule] of Object.entries<NumberRule>(rules)) {
    const value: unknown = (values as Record<string, unknown>)[name]
    numbers[name] =
      value === undefined
        ? ((rule.variable && environmentNumber(rule.variable, rule)) ?? rule.fallback) || rule.min
        : readNumber(value, rule, prefix + name)
  }
  return numbers as Record<keyof Rules, number>
}

function readNumber(value: unknown, { min, max, integer }: NumberRule, name: string): number {
  const expected = `${integer ? 'an integer' : 'a number'} from ${min} to ${max}`
  if (typeof value !== 'number') throw wrong(name, value, expected)
  if (value >= min && value <= max && (!integer || Number.isInteger(value))) return value
  throw wrong(name, value, expected, RangeError)
}

function choose<Name extends keyof typeof CHOICES>(
  options: BatchSpanProcessorOptions,
  name: Name,
): (typeof CHOICES)[Name][number] {
  const choices: readonly unknown[] = CHOICES[name]
  const value = options[name] === undefined ? CHOICES[name][0] : options[name]
  if (!choices.includes(value)) throw wrong(name, value, choices.join(' or '), RangeError)
  return value as (typeof CHOICES)[Name][number]
}

function check(value: unknown, type: 'boolean' | 'function' | 'object', name: string): void {
  const fits = type === 'object' ? isObject(value) : typeof value === type
  if (value !== undefined && !fits) throw wrong(name, value, type === 'object' ? 'an object' : `a ${type}`)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function wrong(
  name: string,
  value: unknown,
  expected: string,
  ErrorType: TypeErrorConstructor | RangeErrorConstructor = TypeError,
): Error {
  return new ErrorType(`BatchSpanProcessor: ${name} must be ${expected}, not ${show(value)}`)
}
