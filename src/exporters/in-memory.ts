/** Keeps spans in memory: for users' tests. */
import { ExportError, type ExportResult, type ReadableSpan, type SpanExporter } from '../types.ts'

/**
 * Collects what is exported, as span objects. Never throws, never rejects.
 *
 * @example
 * ```ts
 * const exporter = new InMemorySpanExporter()
 * const processor = new BatchSpanProcessor(exporter)
 * // … end some spans …
 * await processor.forceFlush()
 * exporter.getFinishedSpans().map((span) => span.name)
 * ```
 */
export class InMemorySpanExporter implements SpanExporter {
  #spans: ReadableSpan[] = []
  #isShutDown = false

  /** Keeps the spans and calls back at once: with code 0, or with code 1 after `shutdown`. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    if (this.#isShutDown) {
      const error = new ExportError('exporter_shutdown', 'the exporter has been shut down')
      resultCallback({ code: 1, error })
      return
    }
    for (const span of spans) this.#spans.push(span)
    resultCallback({ code: 0 })
  }

  /**
   * The spans exported since the last `reset`, in order. The array is the caller's own.
   * @typeParam Span - The `ReadableSpan` of your SDK, which is what the spans are.
   */
  getFinishedSpans<Span extends ReadableSpan = ReadableSpan>(): Span[] {
    return [...this.#spans] as Span[]
  }

  /** Forgets the spans. */
  reset(): void {
    this.#spans = []
  }

  /** Exports fail from now on; the spans stay readable, as a test looks at them after its program has ended. */
  async shutdown(): Promise<void> {
    this.#isShutDown = true
  }
}
