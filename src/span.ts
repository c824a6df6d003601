/**
 * OpenTelemetry's own shapes, stated structurally, so that spans and exporters of SDK 1.30, 2.x and 3.x all fit without
 * installing any of them.
 */
import type { Attributes, HrTime, Link, SpanContext, SpanKind, SpanStatus } from '@opentelemetry/api'

/** The library that made a span: SDK 2.x and 3.x call it `instrumentationScope`, 1.30 `instrumentationLibrary`. */
export interface InstrumentationScope {
  readonly name: string
  readonly version?: string | undefined
  readonly schemaUrl?: string | undefined
  readonly attributes?: Attributes | undefined
}

/** What a span says about the process that made it. */
export interface Resource {
  readonly attributes: Attributes
  readonly schemaUrl?: string | undefined
  /** True while `attributes` still waits for asynchronous detectors. */
  readonly asyncAttributesPending?: boolean | undefined
  waitForAsyncAttributes?(): Promise<void>
}

/** An event within a span. */
export interface TimedEvent {
  readonly time: HrTime
  readonly name: string
  readonly attributes?: Attributes | undefined
  readonly droppedAttributesCount?: number | undefined
}

/** A finished span as the SDK hands it to `onEnd`. */
export interface ReadableSpan {
  readonly name: string
  readonly kind: SpanKind
  spanContext(): SpanContext
  /** SDK 2.x and 3.x. */
  readonly parentSpanContext?: SpanContext | undefined
  /** SDK 1.30. */
  readonly parentSpanId?: string | undefined
  readonly startTime: HrTime
  readonly endTime: HrTime
  readonly duration: HrTime
  readonly ended: boolean
  readonly status: SpanStatus
  readonly attributes: Attributes
  readonly links: Link[]
  readonly events: TimedEvent[]
  readonly resource: Resource
  /** SDK 2.x and 3.x. */
  readonly instrumentationScope?: InstrumentationScope | undefined
  /** SDK 1.30. */
  readonly instrumentationLibrary?: InstrumentationScope | undefined
  readonly droppedAttributesCount: number
  readonly droppedEventsCount: number
  readonly droppedLinksCount: number
}

/** What a stock exporter's callback receives: code 0 is success, 1 is failure. */
export interface ExportResult {
  code: number
  error?: Error
}

/** A stock exporter, ours or anyone's. */
export interface SpanExporter {
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void
  shutdown(): Promise<void>
  forceFlush?(): Promise<void>
}
