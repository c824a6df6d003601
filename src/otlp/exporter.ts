/** The OTLP exporter as users know it. */
import { StandaloneExport } from '../pipeline/standalone.ts'
import {
  type EncodingExporter,
  type ExportResult,
  type PipelineExporter,
  pipelineExporter,
  type ReadableSpan,
} from '../types.ts'
import { JsonEncoder } from './json.ts'
import { configure, type OTLPTraceExporterOptions } from './options.ts'
import { ProtobufEncoder } from './protobuf.ts'
import { OTLPSender } from './sender.ts'

const ENCODERS = { protobuf: ProtobufEncoder, json: JsonEncoder }

/**
 * Sends spans over OTLP/HTTP, in protobuf or JSON: https://opentelemetry.io/docs/specs/otlp/#otlphttp
 *
 * Under tailrace's `BatchSpanProcessor` it is fed with encoded spans; under any other processor it is an ordinary
 * `SpanExporter` that retries within `timeoutMillis`. What the options leave open comes from `OTEL_EXPORTER_OTLP_*`.
 * On Node it uses `node:http` with a connection pool of its own and honours `HTTPS_PROXY`, `HTTP_PROXY` and
 * `NO_PROXY`; elsewhere, or when `fetch` is given, `fetch`. Opens nothing before the first export.
 *
 * @example
 * ```ts
 * const exporter = new OTLPTraceExporter({
 *   url: 'https://otlp.example.com/v1/traces',
 *   headers: async () => ({ authorization: `Bearer ${await freshToken()}` }),
 *   compression: 'gzip',
 * })
 * const processor = new BatchSpanProcessor(exporter)
 * ```
 */
export class OTLPTraceExporter implements EncodingExporter {
  readonly #sender: OTLPSender
  #standalone: StandaloneExport | undefined

  /**
   * @throws TypeError | RangeError naming the option and the value, never a header value or credentials. An unknown
   * option, or an environment variable that cannot be used, is warned about once.
   */
  constructor(options: OTLPTraceExporterOptions = {}) {
    const configuration = configure(options)
    const { encoding } = configuration
    this.#sender = new OTLPSender(configuration, options, () => new ENCODERS[encoding]())
  }

  /**
   * Sends spans for a processor that is not ours, with retries. Never throws.
   * @param resultCallback - Called once: with code 0, or with code 1 and an `ExportError`.
   */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#alone().export(spans, resultCallback)
  }

  /** Settles when everything given to `export` is settled. Never rejects. */
  forceFlush(): Promise<void> {
    return this.#alone().forceFlush()
  }

  /** Ends the exporter: later exports fail at once, without a request. Never rejects. */
  shutdown(): Promise<void> {
    return this.#alone().shutdown()
  }

  /** For our own processor. A subclass that overrides `export` wants spans, so there is none. */
  [pipelineExporter](): PipelineExporter | undefined {
    return this.export === OTLPTraceExporter.prototype.export ? this.#sender : undefined
  }

  #alone(): StandaloneExport {
    this.#standalone ??= new StandaloneExport(this.#sender)
    return this.#standalone
  }
}
