/** OTLP JSON, one object a line: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ */
import { JsonEncoder } from '../otlp/json.ts'
import { describe } from '../pipeline/report.ts'
import { StandaloneExport } from '../pipeline/standalone.ts'
import {
  type EncodedBatch,
  type EncodingExporter,
  ExportError,
  type ExportResult,
  type Outcome,
  type PipelineExporter,
  pipelineExporter,
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

  /** For our own processor. A subclass that overrides `export` wants spans, so there is none. */
  [pipelineExporter](): PipelineExporter | undefined {
    return this.export === JsonLinesExporter.prototype.export ? this.#sender : undefined
  }
}

class LineSender implements PipelineExporter {
  readonly description = { type: 'JsonLinesExporter' }
  readonly maxRequestBytes: number
  readonly #write: (line: string) => void | Promise<void>
  #isShutDown = false

  constructor(write: (line: string) => void | Promise<void>, maxLineBytes: number) {
    this.#write = write
    this.maxRequestBytes = maxLineBytes
  }

  createEncoder(): JsonEncoder {
    return new JsonEncoder()
  }

  async send({ body }: EncodedBatch): Promise<Outcome> {
    if (this.#isShutDown) {
      return { kind: 'final', error: new ExportError('exporter_shutdown', 'the exporter has been shut down') }
    }
    if (body.length > this.maxRequestBytes) {
      const message = `a line of ${body.length} bytes exceeds maxLineBytes (${this.maxRequestBytes})`
      return { kind: 'too_large', error: new ExportError('too_large', message) }
    }
    try {
      await this.#write(new TextDecoder().decode(body))
      return { kind: 'delivered', rejected: 0 }
    } catch (cause) {
      return {
        kind: 'final',
        error: new ExportError('exporter_failed', `write failed: ${describe(cause)}`, { cause }),
      }
    }
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
  }
}

interface OutputStream {
  write(text: string, callback: (error?: Error | null) => void): boolean
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
    stdout.write(`${line}\n`, (error) => (error ? reject(error) : resolve()))
  })
}
