/** The shapes that the stages of the pipeline share. */
import type { Attributes } from '@opentelemetry/api'
import type { PageAttempt, PageSender } from './page.ts'
import type { ReadableSpan, SpanExporter } from './span.ts'
import type { BlockingSender, SpooledCount } from './spill.ts'

export type * from './span.ts'

/** Why an export, or a part of one, did not succeed. */
export type ExportErrorCode =
  /** The attempt, or the round of attempts, ran out of time. */
  | 'timeout'
  /** The caller's signal, or a shutdown, ended the attempt. */
  | 'aborted'
  /** No connection, or the connection broke before a whole response had come. */
  | 'network'
  /** The backend answered with a status other than 2xx. */
  | 'http_status'
  /** The backend, or a limit of our own, finds the request too large. */
  | 'too_large'
  /** The backend's response was larger than 4 MiB, or not readable. */
  | 'bad_response'
  /** The backend took the request and rejected some of its spans. */
  | 'partial_success'
  /** The circuit breaker is open: nothing is sent until its next probe. */
  | 'circuit_open'
  /** The exporter reported failure, threw, or rejected. */
  | 'exporter_failed'
  /** The exporter was used after its own shutdown. */
  | 'exporter_shutdown'
  /** The `headers` function threw or rejected. */
  | 'headers_failed'
  /** Spans were dropped; the message says how many and why. */
  | 'dropped'

/** A failure as `onError`, `FlushResult.error` and stock callbacks see it. Holds no header value and no credentials. */
export class ExportError extends Error {
  override readonly name = 'ExportError'
  /** What kind of failure it is. */
  readonly code: ExportErrorCode
  /** The HTTP status, where the backend answered with one. */
  readonly status: number | undefined

  constructor(code: ExportErrorCode, message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.status = options.status
  }
}

/**
 * What became of one attempt. Exporters classify, the drain loop schedules: only the loop decides about waiting,
 * splitting, sending again and dropping.
 */
export type Outcome =
  /** The backend has the batch, but for `rejected` of its spans. `message` is the backend's own remark. */
  | { readonly kind: 'delivered'; readonly rejected: number; readonly message?: string }
  /** Worth another attempt, no sooner than `retryAfterMillis` from now if the backend named a time. */
  | {
      readonly kind: 'retryable'
      readonly error: ExportError
      readonly retryAfterMillis?: number
      /** The request died on a kept-alive socket without a response: worth one retry at once on a fresh one. */
      readonly staleSocket?: boolean
    }
  /** Worth another attempt in smaller pieces only. */
  | { readonly kind: 'too_large'; readonly error: ExportError }
  /** The batch will never be accepted. */
  | { readonly kind: 'final'; readonly error: ExportError }

/** What an exporter is told about the attempt that it makes. */
export interface Attempt extends PageAttempt {
  /** Aborted when the attempt's time is up or the loop gives up on it: `send` then settles at once. */
  readonly signal: AbortSignal
  /** How long the attempt may take, in milliseconds, from now. */
  readonly timeoutMillis: number
}

/** The body of one request. The same object for every attempt at a batch, so work on it can be kept. */
export interface EncodedBatch {
  readonly body: Uint8Array
  readonly spanCount: number
  /**
   * How many attempts may still be reading `body`, where the sender counts them: its memory is used again when the batch
   * is settled and there are none. An attempt that cannot tell when it is over is never counted out.
   */
  readers?: number
}

/** What metrics call an exporter. */
export interface ComponentDescription {
  /** The `otel.component.type`. */
  readonly type: string
  /** Where it sends, in the terms of the semantic conventions. */
  readonly attributes?: Attributes
}

/** Sends one batch. Never throws, never rejects. */
export interface Sender<Payload> extends PageSender, BlockingSender<Payload, Outcome> {
  readonly description: ComponentDescription
  send(payload: Payload, attempt: Attempt): Promise<Outcome>
  /** Present only where there is something to flush beyond `send`. */
  forceFlush?(): Promise<void>
  shutdown(): Promise<void>
  /** Bound on one attempt, in milliseconds; none means the round's own. */
  readonly attemptTimeoutMillis?: number | undefined
  /** Bound on one batch with all its attempts and waits, in milliseconds; none means the processor's own. */
  readonly timeoutMillis?: number | undefined
  /** It must not be asked for two exports at once, not even by two requests of a Worker. */
  readonly isSerial?: boolean
  /** The request that was sending this has died: nothing of that attempt is to be waited for. */
  abandoned?(payload: Payload): void
}

/** An exporter that the processor can feed with encoded spans instead of objects. */
export interface PipelineExporter extends Sender<EncodedBatch> {
  /** Makes the encoder; each processor asks for one of its own. */
  createEncoder(): SpanEncoder
  /** What the bodies are written in: a batch for one exporter is a batch for another that has the same. Default: its own. */
  readonly encoding?: string
  /** A request body larger than this is never sent. */
  readonly maxRequestBytes: number
}

/**
 * The method by which an exporter of ours offers its encoded side. It answers `undefined` when a subclass overrides
 * `export`, which then has to see spans. A text, because bundlers keep each class whose methods are named by a symbol,
 * used or not; for the same reason classes spell it out.
 */
export const pipelineExporter = 'tailrace.pipelineExporter'

/** The method by which an exporter with several destinations opens a pipeline for each: see `BranchingExporter`. */
export const openBranches = Symbol.for('tailrace.openBranches')

/** A `SpanExporter` with an encoded side. */
export interface EncodingExporter extends SpanExporter {
  'tailrace.pipelineExporter'(): PipelineExporter | undefined
}

/** Set in a record's `flags` when the span has no parent, or a remote one. */
export const FLAG_LOCAL_ROOT = 1
/** Set in a record's `flags` when the span's status is an error. */
export const FLAG_ERROR = 2

/** Memory in which the next record may be written where it is to stay. */
export interface RecordRoom {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Where the record has to begin. All behind it is free. */
  readonly free: number
}

/** Where an encoder puts the record of a span. */
export interface RecordSink {
  /**
   * Where the next record may be written, if it may. Whoever ends another span meanwhile takes the room away: see
   * `Writer.leave`.
   */
  room?(): RecordRoom
  /**
   * Takes `source[start, end)` as one record: copies it, unless it lies in the sink's own room. What ends meanwhile, because
   * making room for it runs user code, comes after it.
   * @param group - The resource and scope of the span, as numbered by the encoder.
   * @param flags - `FLAG_LOCAL_ROOT`, `FLAG_ERROR`.
   * @param traceHash - 32 bits of the trace id.
   */
  append(
    source: Uint8Array,
    start: number,
    end: number,
    group: number,
    flags: number,
    traceHash: number,
  ): void
}

/**
 * The records of one batch, in the order in which their spans ended, one column a property. `frame` reads where each
 * record lies now and writes where it lies in the body, so that a batch can be split without encoding it again.
 */
export interface RecordTable {
  readonly count: number
  /** The buffer that holds the record. */
  readonly buffers: Uint8Array[]
  readonly offsets: Int32Array
  readonly lengths: Int32Array
  readonly groups: Int32Array
}

/** Turns spans into records, and records into request bodies. Knows the format, nothing of queues or networks. */
export interface SpanEncoder {
  /** Encoders of the same format write the same records: one can stand for another. */
  readonly format?: string
  /**
   * Encodes one ended span and appends it to `sink` as the very last step. Re-entrant: user code that runs meanwhile
   * (a getter, a logger) may end other spans.
   * @throws Whatever the span makes impossible (a cycle, a getter that throws); `sink` has then not been called.
   */
  encode(span: ReadableSpan, sink: RecordSink): void
  /**
   * Builds one request body: resource and scope around the records of each group, records copied once. Updates
   * `records.offsets` to positions in the body. Never throws: a resource that cannot be read is sent without attributes.
   * @param allocate - Gives a buffer of at least that many bytes; the body is a subarray of it starting at 0.
   */
  frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array
  /** Settles when no resource that was seen has attributes pending; `undefined` when none has. Never rejects. */
  whenResourcesSettle(): Promise<void> | undefined
  /** How many groups are remembered. */
  readonly groupCount: number
  /** The name of a group's scope. */
  scopeName(group: number): string
  /** Forgets the groups that are not in `live`. */
  retainGroups(live: ReadonlySet<number>): void
}

/** Why spans were given up. */
export type DropReason =
  /** `maxQueueSize` spans were waiting. */
  | 'queue_full'
  /** `maxQueueBytes` were waiting. */
  | 'queue_bytes_full'
  /** One span alone exceeds `maxQueueBytes`, `maxRequestBytes`, or what the backend takes. */
  | 'span_too_large'
  /** The span cannot be encoded. */
  | 'encode_error'
  /** Its batch alone kept failing while others got through. */
  | 'retry_exhausted'
  /** It ended after `shutdown`. */
  | 'already_shutdown'
  /** It was still held when the deadline of `shutdown` came. */
  | 'shutdown_timeout'

/** The options of `flush`, `forceFlush` and `shutdown`. */
export interface FlushOptions {
  /** How long the caller waits at most, in milliseconds. 0 returns at once, with the drain started. */
  timeoutMillis?: number | undefined
  /** Ends this caller's wait; nobody else's, and no export. */
  signal?: AbortSignal | undefined
  /**
   * `'wait'` first waits, within the deadline, for the sampled spans that are open at the call to end, except the
   * caller's own active span and its ancestors. Default `'ignore'`.
   */
  openSpans?: 'ignore' | 'wait' | undefined
}

/** What became of the spans that a flush covers: those that had ended, and were not settled, when it was called. */
export interface FlushResult extends SpooledCount {
  /** `success`: all exported. `timeout`: the wait ended with spans pending. `failure`: anything else. */
  status: 'success' | 'failure' | 'timeout'
  exported: number
  /** Rejected by a backend that took their batch; reported whole to every flush that the batch touches. */
  rejected: number
  /** Finally refused by the backend, or failed in a stock exporter. */
  failed: number
  dropped: number
  /** Still waiting, or on the wire. */
  pending: number
  /** Sampled spans that had not ended when the flush was called. */
  openSpans: number
  durationMillis: number
  error?: ExportError
  /** With `fanOut`: what became of them at each destination, in its order; the counts above are sums. */
  destinations?: FlushResult[]
}

/** The ledger of a processor: `ended = exported + rejected + failed + dropped + pending`, and `spooled` with a spool. */
export interface PipelineStats extends SpooledCount {
  ended: number
  exported: number
  rejected: number
  failed: number
  dropped: Record<DropReason, number>
  /** Waiting, or on the wire. */
  pending: number
  pendingBytes: number
  /** Of the pending, those in a batch that is on the wire or awaits its retry. */
  inFlight: number
  openSpans: number
  /** With `fanOut`: the ledger of each destination, in its order; the counts above are sums. */
  destinations?: PipelineStats[]
}
