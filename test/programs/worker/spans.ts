/** Spans that are numbered as they end, and a processor that says when a flush has them all delivered. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, type FlushOptions, OTLPTraceExporter } from 'tailrace'

/** Where the collector is: written in by the bundler. */
declare const COLLECTOR: string

export const counts = {
  /** Spans that have ended; the last of them has this number for a name. */
  ended: 0,
  given: 0,
  settled: 0,
  rejected: 0,
  flushes: [] as string[],
}

export const processor = new BatchSpanProcessor(
  new OTLPTraceExporter({ url: `${COLLECTOR}/v1/traces`, compression: 'gzip' }),
)

export const provider = new BasicTracerProvider({ spanProcessors: [processor] })

const tracer = provider.getTracer('worker')

/** Starts a span; ending it gives it its number. */
export function startSpan(): { end(note?: string): void } {
  const span = tracer.startSpan('open')
  return {
    end(note = '') {
      span.updateName(String(++counts.ended))
      span.setAttribute('note', note)
      span.end()
    },
  }
}

/** What the helpers are given: the processor, and a report to the collector whenever a flush says `success`. */
export const observed = {
  async flush(options?: FlushOptions) {
    const through = counts.ended
    const result = await processor.flush(options)
    const { status, error } = result
    counts.flushes.push(error === undefined ? status : `${status}: ${error.code}, ${error.message}`)
    if (result.status === 'success') {
      await fetch(`${COLLECTOR}/settled`, { method: 'POST', body: String(through) })
    }
    return result
  },
  async forceFlush(options?: FlushOptions) {
    await this.flush(options)
  },
  shutdown: (options?: FlushOptions) => processor.shutdown(options),
  stats: () => processor.stats(),
}

/** Counts what becomes of the promises that are given to `waitUntil`. */
export function watch(ctx: { waitUntil(promise: Promise<unknown>): void }): void {
  const waitUntil = ctx.waitUntil.bind(ctx)
  ctx.waitUntil = (promise) => {
    counts.given++
    promise.then(
      () => counts.settled++,
      () => counts.rejected++,
    )
    waitUntil(promise)
  }
}
