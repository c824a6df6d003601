/** Node: what cannot be delivered in time waits on disk, and is delivered later, if need be by the next process. */
import { resolve } from 'node:path'
import { log, show } from './pipeline/report.ts'
import { StandaloneExport } from './pipeline/standalone.ts'
import type { SpoolLimits } from './spool/directory.ts'
import { SpoolMetrics } from './spool/metrics.ts'
import { Replayer } from './spool/replay.ts'
import { BatchSpiller } from './spool/spiller.ts'
import { type SpoolStats, SpoolStore } from './spool/store.ts'
import {
  type EncodingExporter,
  type ExportResult,
  type PipelineExporter,
  pipelineExporter,
  type ReadableSpan,
  type SpanExporter,
} from './types.ts'

export type { SpoolCount, SpoolStats } from './spool/store.ts'

/** The options of `spool`. */
export interface SpoolOptions {
  /** Where files are kept; made, for its owner only, if it is not there. Processes may share it. Required. */
  readonly directory: string
  /**
   * How much all files together may take, in bytes; beyond that the oldest go. Where processes share the directory, what the
   * others have done in the last second (ten within `span.end()` and at the end of the process) may not be heeded yet.
   * Default 256 MiB.
   */
  readonly maxBytes?: number | undefined
  /** How old a file may become, in milliseconds. Default a day. */
  readonly maxAgeMillis?: number | undefined
  /** How many files are replayed in a second at most. Default 10. */
  readonly maxReplaysPerSecond?: number | undefined
}

/** An exporter with a spool. */
export interface SpoolExporter extends SpanExporter {
  forceFlush(): Promise<void>
  /**
   * Replays what waits now, for a short program that would end before it is replayed in the background: until nothing waits
   * any more, the backend is found to be away, or time is up. Never rejects.
   * @param options - `timeoutMillis` defaults to 2000.
   */
  replay(options?: { readonly timeoutMillis?: number | undefined }): Promise<SpoolStats>
  /** What this process has written, replayed and given up, and what waits. */
  stats(): SpoolStats
}

/**
 * Puts a spool around an exporter: what cannot be delivered in time (the deadline of a batch or a flush, an open breaker,
 * a shutdown, a full queue) is written to disk, one file a batch, and replayed when the backend answers again.
 *
 * Under tailrace's `BatchSpanProcessor`. A file is an OTLP request as it stands, `<time>-<sequence>.otlp.pb`, which
 * `curl --data-binary` can send, too. What the ledger counts as `spooled` survives the process at any instant, and is
 * delivered at least once, unless the bounds push it out. A disk that is full or read-only costs one warning, and
 * batches stay in memory.
 *
 * @param exporter - An `OTLPTraceExporter` that encodes protobuf, a `KafkaTraceExporter`, or a `failover` of these.
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { spool } from 'tailrace/spool'
 *
 * const exporter = spool(new OTLPTraceExporter(), { directory: '/var/spool/orders', maxBytes: 64 * 2 ** 20 })
 * const processor = new BatchSpanProcessor(exporter)
 * ```
 */
export function spool(exporter: SpanExporter, options: SpoolOptions): SpoolExporter {
  const inner = (exporter as Partial<EncodingExporter> | null | undefined)?.[pipelineExporter]?.()
  if (inner?.encoding !== 'protobuf') {
    throw new TypeError(
      `spool: exporter must be an OTLPTraceExporter that encodes protobuf, not ${nameOf(exporter, inner)}`,
    )
  }
  const { maxReplaysPerSecond, ...limits } = readOptions(options)
  return new Spool(inner, limits, maxReplaysPerSecond)
}

function nameOf(exporter: unknown, inner: PipelineExporter | undefined): string {
  if (inner !== undefined) return `${inner.description.type}, which encodes ${inner.encoding ?? 'otherwise'}`
  if (typeof exporter !== 'object' || exporter === null) return show(exporter)
  return `an object of class ${show(exporter.constructor?.name)}`
}

class Spool implements EncodingExporter, SpoolExporter {
  readonly #store: SpoolStore
  readonly #sender: PipelineExporter
  readonly #replayer: Replayer
  #standalone: StandaloneExport | undefined

  constructor(inner: PipelineExporter, limits: SpoolLimits, maxReplaysPerSecond: number) {
    const store = new SpoolStore(limits)
    this.#store = store
    this.#replayer = new Replayer(store, inner, maxReplaysPerSecond)
    this.#sender = spoolingSender(inner, store, this.#replayer)
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#alone().export(spans, resultCallback)
  }

  forceFlush(): Promise<void> {
    return this.#alone().forceFlush()
  }

  shutdown(): Promise<void> {
    return this.#alone().shutdown()
  }

  async replay({
    timeoutMillis = 2000,
  }: {
    readonly timeoutMillis?: number | undefined
  } = {}): Promise<SpoolStats> {
    await this.#replayer.all(timeoutMillis)
    return this.stats()
  }

  stats(): SpoolStats {
    return this.#store.stats()
  }

  [pipelineExporter](): PipelineExporter {
    return this.#sender
  }

  #alone(): StandaloneExport {
    this.#standalone ??= new StandaloneExport(this.#sender)
    return this.#standalone
  }
}

/** Sends as the exporter does, and tells the replayer what it sees of the backend. */
function spoolingSender(inner: PipelineExporter, store: SpoolStore, replayer: Replayer): PipelineExporter {
  const watched = {
    get isWritable() {
      return store.isWritable
    },
    async write(body: Uint8Array, spanCount: number) {
      const isKept = await store.write(body, spanCount)
      if (isKept) replayer.written()
      return isKept
    },
    writeSync(body: Uint8Array, spanCount: number) {
      const isKept = store.writeSync(body, spanCount)
      if (isKept) replayer.written()
      return isKept
    },
  }
  return {
    description: inner.description,
    maxRequestBytes: inner.maxRequestBytes,
    defaultBatchBytes: inner.defaultBatchBytes,
    timeoutMillis: inner.timeoutMillis,
    attemptTimeoutMillis: inner.attemptTimeoutMillis,
    ...(inner.isSerial !== undefined && { isSerial: inner.isSerial }),
    createEncoder() {
      replayer.start()
      return inner.createEncoder()
    },
    openSpiller: (source) => new BatchSpiller(source, watched),
    async send(batch, attempt) {
      replayer.freshStarted()
      const outcome = await inner.send(batch, attempt)
      replayer.freshEnded(outcome)
      return outcome
    },
    measureWith(meter, attributes) {
      // Of one processor, where several share it.
      store.metrics ??= new SpoolMetrics(meter, attributes, () => store.waiting)
    },
    sendSync: (batch, post, timeoutMillis) => inner.sendSync?.(batch, post, timeoutMillis),
    async shutdown() {
      await replayer.stop()
      await inner.shutdown()
      store.metrics?.shutdown()
    },
  }
}

function readOptions(
  options: SpoolOptions,
): Required<{ [Name in keyof SpoolOptions]: NonNullable<SpoolOptions[Name]> }> {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`spool: options must be an object, not ${show(options)}`)
  }
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name)) log('warn', `spool: unknown option ${name} is ignored`)
  }
  const { directory } = options
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError(`spool: directory must be a path, not ${show(directory)}`)
  }
  return {
    directory: resolve(directory),
    maxBytes: readNumber('maxBytes', options.maxBytes ?? 256 * 2 ** 20, 1),
    maxAgeMillis: readNumber('maxAgeMillis', options.maxAgeMillis ?? 24 * 60 * 60 * 1000, 1),
    maxReplaysPerSecond: readNumber('maxReplaysPerSecond', options.maxReplaysPerSecond ?? 10, 0.001),
  }
}

const KNOWN = ['directory', 'maxBytes', 'maxAgeMillis', 'maxReplaysPerSecond']

function readNumber(name: string, value: unknown, min: number): number {
  const message = `spool: ${name} must be a number of at least ${min}, not ${show(value)}`
  if (typeof value !== 'number') throw new TypeError(message)
  if (!(value >= min)) throw new RangeError(message)
  return value
}
