/**
 * The SDK's own metrics, as the semantic conventions name them:
 * https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
 */
import type { Attributes, Counter, Meter, MeterProvider } from '@opentelemetry/api'
import type { ComponentDescription, DropReason, ExportError } from '../types.ts'
import { monotonicNow } from './deadline.ts'
import type { DropPlace } from './ledger.ts'
import { describe, log } from './report.ts'
import { Announcement } from './wait.ts'

const PROCESSOR_TYPE = 'batching_span_processor'

/** Components of each type so far: their names are numbered. */
const instances = new Map<string, number>()

function identify(type: string): Attributes {
  const instance = instances.get(type) ?? 0
  instances.set(type, instance + 1)
  return { 'otel.component.type': type, 'otel.component.name': `${type}/${instance}` }
}

/** It is told once. */
let hasFailed = false

/** A meter that throws must not break what it measures. */
export function contain(record: () => void): void {
  try {
    record()
  } catch (cause) {
    if (!hasFailed) log('warn', `a metric could not be recorded: ${describe(cause)}`)
    hasFailed = true
  }
}

/** What the metrics of one pipeline are about. */
export interface MetricsSubject {
  readonly maxQueueSize: number
  readonly exporter: ComponentDescription
  queueSize(): number
  /** The exporter may have metrics of its own. */
  measureExporter(meter: Meter, attributes: Attributes): void
}

/** Records the metrics of one pipeline. */
export class SdkMetrics {
  readonly #processor = identify(PROCESSOR_TYPE)
  readonly #exporter: Attributes
  readonly #processed
  readonly #inflight
  readonly #exported
  readonly #duration
  readonly #stopObserving: () => void
  readonly #dropsOfProcessor = new Map<DropReason, number>()
  readonly #dropsOfExporter = new Map<DropReason, number>()
  readonly #dropsRecorded = new Announcement(() => this.#recordDrops())

  constructor(meterProvider: MeterProvider, subject: MetricsSubject) {
    const { maxQueueSize, exporter, queueSize } = subject
    this.#exporter = { ...identify(exporter.type), ...exporter.attributes }
    const meter = meterProvider.getMeter('tailrace')
    this.#processed = meter.createCounter('otel.sdk.processor.span.processed', {
      unit: '{span}',
      description: 'The number of spans for which the processing has finished, either successful or failed.',
    })
    this.#inflight = meter.createUpDownCounter('otel.sdk.exporter.span.inflight', {
      unit: '{span}',
      description:
        'The number of spans which were passed to the exporter, but that have not been exported yet.',
    })
    this.#exported = meter.createCounter('otel.sdk.exporter.span.exported', {
      unit: '{span}',
      description: 'The number of spans for which the export has finished, either successful or failed.',
    })
    this.#duration = meter.createHistogram('otel.sdk.exporter.operation.duration', {
      unit: 's',
      description: 'The duration of exporting a batch of telemetry records.',
    })
    const capacity = meter.createUpDownCounter('otel.sdk.processor.span.queue.capacity', {
      unit: '{span}',
      description:
        'The maximum number of spans the queue of a given instance of an SDK span processor can hold.',
    })
    capacity.add(maxQueueSize, this.#processor)
    const size = meter.createObservableUpDownCounter('otel.sdk.processor.span.queue.size', {
      unit: '{span}',
      description: 'The number of spans in the queue of a given instance of an SDK span processor.',
    })
    const observe: Parameters<typeof size.addCallback>[0] = (result) =>
      result.observe(queueSize(), this.#processor)
    size.addCallback(observe)
    this.#stopObserving = () => {
      size.removeCallback(observe)
      capacity.add(-maxQueueSize, this.#processor)
    }
    subject.measureExporter(meter, this.#exporter)
  }

  /**
   * Spans were given up. Those that are out are counted where their export ends. The meter hears of it after the code that is
   * running: it is the user's, who may end spans in it, while one that has just ended is not in its place yet.
   */
  dropped(reason: DropReason, count: number, place: DropPlace): void {
    if (place === 'lease') return
    const drops = place === 'parked' ? this.#dropsOfExporter : this.#dropsOfProcessor
    drops.set(reason, (drops.get(reason) ?? 0) + count)
    this.#dropsRecorded.makeSoon()
  }

  attemptEnded(startedAt: number, error: ExportError | undefined): void {
    contain(() => {
      const attributes = this.#attributes(error)
      if (error?.status !== undefined) attributes['http.response.status_code'] = error.status
      this.#duration.record((monotonicNow() - startedAt) / 1000, attributes)
    })
  }

  /** A batch is handed to the exporter; `isNew` unless it was before. A span counts as processed from here on. */
  exportStarted(count: number, isNew: boolean): void {
    contain(() => {
      if (isNew) this.#processed.add(count, this.#processor)
      this.#inflight.add(count, this.#exporter)
    })
  }

  /** The exporter is done with these spans. */
  exportEnded(count: number, error?: ExportError): void {
    contain(() => {
      this.#leave(count)
      if (count > 0) this.#exported.add(count, this.#attributes(error))
    })
  }

  /** The exporter is done with a batch of which the backend rejected a part. */
  exportRejected(count: number, rejected: number): void {
    contain(() => {
      this.#leave(count)
      if (count > rejected) this.#exported.add(count - rejected, this.#exporter)
      this.#exported.add(rejected, { ...this.#exporter, 'error.type': 'rejected' })
    })
  }

  /** The batch waits again: its spans are not settled. */
  exportPutBack(count: number): void {
    contain(() => this.#leave(count))
  }

  /** Records what is not recorded yet: the meter may be shut down next. */
  shutdown(): void {
    contain(this.#stopObserving)
    this.#recordDrops()
  }

  #recordDrops(): void {
    this.#recordEach(this.#dropsOfProcessor, this.#processed, this.#processor)
    this.#recordEach(this.#dropsOfExporter, this.#exported, this.#exporter)
  }

  #recordEach(drops: Map<DropReason, number>, counter: Counter, attributes: Attributes): void {
    // The meter may run code that drops more.
    for (const reason of [...drops.keys()]) {
      const count = drops.get(reason) as number
      drops.delete(reason)
      contain(() => counter.add(count, { ...attributes, 'error.type': reason }))
    }
  }

  #leave(count: number): void {
    this.#inflight.add(-count, this.#exporter)
  }

  #attributes(error: ExportError | undefined): Attributes {
    if (error === undefined) return { ...this.#exporter }
    return { ...this.#exporter, 'error.type': error.status === undefined ? error.code : String(error.status) }
  }
}
