/** OTLP JSON, one object a line: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ */
import { JsonEncoder } from '../otlp/json.ts'
import { unlessAborted } from '../pipeline/deadline.ts'
import { describe } from '../pipeline/report.ts'
import { StandaloneExport } from '../pipeline/standalone.ts'
import {
  type Attempt,
  type EncodedBatch,
  type EncodingExporter,
  ExportError,
  type ExportResult,
  type Outcome,
  type PipelineExporter,
  type ReadableSpan,
} from '../types.ts'

/** What `new JsonLinesExporter()` takes. */
export interface JsonLinesExporterOptions {
  /** Takes one line, without its line break. Default: writes it to standard output, or `console.log` where there is none. */
  readonly write?: ((line: string) => void | Promise<void>) | undefined
  /** No line is longer, in bytes, without its line break; a batch is split into several. Default 262144 (256 KiB). */
  readonly maxLineBytes?: number | undefined
}

const DEFAULT_MAX_LINE_BYTES = 256 * 1024

/**
 * Writes spans as lines of OTLP JSON, to standard output or to any function: for log collectors, and for platforms
 * where standard output is the way out. Never throws, never rejects; a `write` that fails fails its batch.
 *
 * @example
 * ```ts
 * const processor = new BatchSpanProcessor(new JsonLinesExporter())
 * ```
 */
export class JsonLinesExporter implements EncodingExporter {
  readonly #sender: LineSender
  readonly #standalone: StandaloneExport

  /** @throws TypeError | RangeError that names the option and its value. */
  constructor(options: JsonLinesExporterOptions = {}) {
    const { write = writeToStandardOutput, maxLineBytes = DEFAULT_MAX_LINE_BYTES } = options
    if (typeof write !== 'function') {
      throw new TypeError(`JsonLinesExporter: write must be a function, not ${String(write)}`)
    }
    if (!Number.isInteger(maxLineBytes) || maxLineBytes < 1) {
      throw new RangeError(
        `JsonLinesExporter: maxLineBytes must be a positive integer, not ${String(maxLineBytes)}`,
      )
    }
    this.#sender = new LineSender(write, maxLineBytes)
    this.#standalone = new StandaloneExport(this.#sender)
  }

  /** Writes spans for a processor that is not ours. Calls back once. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#standalone.export(spans, resultCallback)
  }

  /** Settles when everything given to `export` is written. */
  forceFlush(): Promise<void> {
    return this.#standalone.forceFlush()
  }

  /** Later exports fail at once. */
  shutdown(): Promise<void> {
    return this.#standalone.shutdown()
  }

  /** For our own processor. A subclass that overrides `export` wants spans, so there is none. @internal */
  'tailrace.pipelineExporter'(): PipelineExporter | undefined {
    return this.export === JsonLinesExporter.prototype.export ? this.#sender : undefined
  }
}

class LineSender implements PipelineExporter {
  readonly description = { type: 'JsonLinesExporter' }
  readonly encoding = 'json'
  /** Lines are written one after the other. */
  readonly isSerial = true
  readonly maxRequestBytes: number
  readonly #write: (line: string) => void | Promise<void>
  /** The line that is being written: an attempt that timed out left it to itself, and the next one joins it. */
  #writing: { readonly batch: EncodedBatch; readonly outcome: Promise<Outcome> } | undefined
  #isShutDown = false

  constructor(write: (line: string) => void | Promise<void>, maxLineBytes: number) {
    this.#write = write
    this.maxRequestBytes = maxLineBytes
  }

  createEncoder(): JsonEncoder {
    return new JsonEncoder()
  }

  async send(batch: EncodedBatch, { signal }: Attempt): Promise<Outcome> {
    if (this.#isShutDown) {
      return { kind: 'final', error: new ExportError('exporter_shutdown', 'the exporter has been shut down') }
    }
    const { length } = batch.body
    if (length > this.maxRequestBytes) {
      const message = `a line of ${length} bytes exceeds maxLineBytes (${this.maxRequestBytes})`
      return { kind: 'too_large', error: new ExportError('too_large', message) }
    }
    while (this.#writing !== undefined && this.#writing.batch !== batch) {
      await unlessAborted(this.#writing.outcome, signal)
      if (signal.aborted) return stillWriting()
    }
    const { outcome } = this.#writing ?? this.#begin(batch)
    await unlessAborted(outcome, signal)
    return signal.aborted && this.#writing !== undefined ? stillWriting() : outcome
  }

  #begin(batch: EncodedBatch): { readonly outcome: Promise<Outcome> } {
    const writing = {
      batch,
      outcome: this.#writeLine(batch).finally(() => {
        if (this.#writing === writing) this.#writing = undefined
      }),
    }
    this.#writing = writing
    return writing
  }

  async #writeLine({ body }: EncodedBatch): Promise<Outcome> {
    try {
      await this.#write(new TextDecoder().decode(body))
      return { kind: 'delivered', rejected: 0 }
    } catch (cause) {
      const error = new ExportError('exporter_failed', `write failed: ${describe(cause)}`, { cause })
      return { kind: 'final', error }
    }
  }

  abandoned(batch: EncodedBatch): void {
    if (this.#writing?.batch === batch) this.#writing = undefined
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
  }
}

function stillWriting(): Outcome {
  return { kind: 'retryable', error: new ExportError('timeout', 'the line is still being written') }
}

interface OutputStream {
  write(text: string, callback: (error?: Error | null) => void): boolean
  on(event: 'error', listener: () => void): void
  off(event: 'error', listener: () => void): void
}

/** Settles when the line has left the process: a pipe may be slower than the program. */
function writeToStandardOutput(line: string): void | Promise<void> {
  const { process } = globalThis as { process?: { stdout?: OutputStream } }
  const stdout = process?.stdout
  if (typeof stdout?.write !== 'function') {
    console.log(line)
    return
  }
  return new Promise((resolve, reject) => {
    // A reader that went away (`| head`) fails the batch; without a listener it would end the program.
    const contain = () => {}
    stdout.on('error', contain)
    stdout.write(`${line}\n`, (error) => {
      if (error) {
        reject(error)
        return
      }
      stdout.off('error', contain)
      resolve()
    })
  })
}
