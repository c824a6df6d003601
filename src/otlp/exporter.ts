/** The OTLP exporters as users know them. */
import { StandaloneExport } from '../pipeline/standalone.ts'
import type { EncodingExporter, ExportResult, PipelineExporter, ReadableSpan, SpanEncoder } from '../types.ts'
import { JsonEncoder } from './json.ts'
import { configure, type Encoding, type OTLPTraceExporterOptions } from './options.ts'
import { ProtobufEncoder } from './protobuf.ts'
import { OTLPSender } from './sender.ts'

type Encoders = Partial<Record<Encoding, new () => SpanEncoder>>

/** What the exporters have in common: all but the encoders, which a bundle should have only if they are used. */
abstract class OTLPExporter implements EncodingExporter {
  readonly #sender: OTLPSender
  #standalone: StandaloneExport | undefined

  constructor(options: OTLPTraceExporterOptions, encoders: Encoders & { protobuf: new () => SpanEncoder }) {
    const configuration = configure(options, Object.keys(encoders) as Encoding[])
    const Encoder = encoders[configuration.encoding] ?? encoders.protobuf
    this.#sender = new OTLPSender(configuration, options, () => new Encoder())
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

  /** For our own processor. A subclass that overrides `export` wants spans, so there is none. @internal */
  'tailrace.pipelineExporter'(): PipelineExporter | undefined {
    return this.export === OTLPExporter.prototype.export ? this.#sender : undefined
  }

  #alone(): StandaloneExport {
    this.#standalone ??= new StandaloneExport(this.#sender)
    return this.#standalone
  }
}

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
export class OTLPTraceExporter extends OTLPExporter {
  /**
   * @throws TypeError | RangeError naming the option and the value, never a header value or credentials. An unknown
   * option, or an environment variable that cannot be used, is warned about once.
   */
  constructor(options: OTLPTraceExporterOptions = {}) {
    super(options, { protobuf: ProtobufEncoder, json: JsonEncoder })
  }
}

/**
 * An `OTLPTraceExporter` that sends protobuf alone: for edge functions and pages, where bytes count. Which encoder
 * `OTLPTraceExporter` needs is known at run time only, from its options and the environment, so every bundle has both.
 * With this one a bundler leaves the JSON encoder out.
 *
 * @example
 * ```ts
 * const processor = new BatchSpanProcessor(new OTLPProtobufTraceExporter({ url: 'https://otlp.example.com/v1/traces' }))
 * ```
 */
export class OTLPProtobufTraceExporter extends OTLPExporter {
  /**
   * @throws TypeError | RangeError as `OTLPTraceExporter` does. Where the environment asks for `http/json`, that is
   * warned about once, and protobuf is sent.
   */
  constructor(options: Omit<OTLPTraceExporterOptions, 'encoding'> = {}) {
    super(options, { protobuf: ProtobufEncoder })
  }
}
