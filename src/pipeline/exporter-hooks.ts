/** The exporter's own flush and shutdown. Whatever they do is contained. */
import type { Sender } from '../types.ts'
import type { Reporter } from './report.ts'
import { suppressTracing } from './suppress.ts'

/** Calls them when it is time, which their owner knows. No method throws, no promise rejects. */
export class ExporterHooks {
  readonly #sender: Pick<Sender<unknown>, 'forceFlush' | 'shutdown'>
  readonly #reporter: Reporter
  /** The flush that runs, if nothing was sent since it began. */
  #flushing: Promise<void> | undefined
  #isShutDown = false

  constructor(sender: Pick<Sender<unknown>, 'forceFlush' | 'shutdown'>, reporter: Reporter) {
    this.#sender = sender
    this.#reporter = reporter
  }

  /** Flushes the exporter, once for all who ask meanwhile. `undefined` where there is nothing to wait for. */
  flush(): Promise<void> | undefined {
    if (this.#isShutDown || this.#sender.forceFlush === undefined) return undefined
    if (this.#flushing === undefined) {
      // Not from here: the exporter may ask for a flush itself, which must find this one.
      const flushing = Promise.resolve()
        .then(() => this.flushNow())
        .then(() => {
          if (this.#flushing === flushing) this.#flushing = undefined
        })
      this.#flushing = flushing
    }
    return this.#flushing
  }

  /** Flushes the exporter for one caller alone. */
  flushNow(): Promise<void> {
    return this.#contain(async () => this.#sender.forceFlush?.())
  }

  /** Something was sent: a flush that is running may not cover it. */
  sent(): void {
    this.#flushing = undefined
  }

  shutdown(): Promise<void> {
    this.#isShutDown = true
    return this.#contain(() => this.#sender.shutdown())
  }

  async #contain(work: () => Promise<void>): Promise<void> {
    try {
      await suppressTracing(work)
    } catch (cause) {
      this.#reporter.exporterFailed(cause)
    }
  }
}
