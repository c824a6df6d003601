/** What a spool does, as metrics beside the SDK's own. The semantic conventions know of no such thing. */
import type { Attributes, Meter } from '@opentelemetry/api'
import { contain } from '../pipeline/metrics.ts'
import type { Waiting } from './inventory.ts'

/** Records the metrics of one spool, in the same steps in which its books change. */
export class SpoolMetrics {
  readonly #attributes: Attributes
  readonly #written
  readonly #replayed
  readonly #evicted
  readonly #setAside
  readonly #stopObserving: () => void

  /** @param attributes - Of the exporter. */
  constructor(meter: Meter, attributes: Attributes, waiting: () => Waiting) {
    this.#attributes = attributes
    const counter = (name: string, unit: string, description: string) =>
      meter.createCounter(`tailrace.spool.${name}`, { unit: `{${unit}}`, description })
    this.#written = counter('span.written', 'span', 'The number of spans written to the spool.')
    this.#replayed = counter('span.replayed', 'span', 'The number of spans of the spool that were sent.')
    this.#evicted = counter(
      'span.evicted',
      'span',
      'The number of spans given up by the bounds of the spool.',
    )
    this.#setAside = counter('file.set_aside', 'file', 'The number of files that will not be sent.')
    const gauge = (name: string, unit: string, description: string, read: () => number) => {
      const instrument = meter.createObservableUpDownCounter(`tailrace.spool.${name}`, { unit, description })
      const observe: Parameters<typeof instrument.addCallback>[0] = (result) =>
        result.observe(read(), attributes)
      instrument.addCallback(observe)
      return () => instrument.removeCallback(observe)
    }
    const stops = [
      gauge('file.waiting', '{file}', 'The number of files that wait.', () => waiting().files),
      gauge('size', 'By', 'What the files that wait take.', () => waiting().bytes),
    ]
    this.#stopObserving = () => {
      for (const stop of stops) stop()
    }
  }

  written(spans: number): void {
    contain(() => this.#written.add(spans, this.#attributes))
  }

  replayed(spans: number, rejected: number): void {
    contain(() => {
      if (spans > rejected) this.#replayed.add(spans - rejected, this.#attributes)
      if (rejected > 0) this.#replayed.add(rejected, { ...this.#attributes, 'error.type': 'rejected' })
    })
  }

  evicted(spans: number): void {
    contain(() => this.#evicted.add(spans, this.#attributes))
  }

  setAside(): void {
    contain(() => this.#setAside.add(1, this.#attributes))
  }

  shutdown(): void {
    contain(this.#stopObserving)
  }
}
