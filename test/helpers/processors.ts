/** Spans for the processors under test: ended by the real SDK, or made by hand with a name that tells them apart. */
import { ROOT_CONTEXT, type Span, SpanKind, TraceFlags, type Tracer, trace } from '@opentelemetry/api'
import { AlwaysOffSampler, BasicTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { BatchSpanProcessor } from '../../src/processor.ts'
import type { ReadableSpan } from '../../src/types.ts'
import { handMadeSpan, type SpanParts } from './spans.ts'

/** A tracer of SDK 2.12 whose spans go to the processors, in that order. */
export function tracerFor(...processors: SpanProcessor[]): Tracer {
  return new BasicTracerProvider({ spanProcessors: processors }).getTracer('test')
}

/** A tracer whose spans are all sampled out, and given to the processor all the same. */
export function unsampledTracerFor(processor: SpanProcessor): Tracer {
  return new BasicTracerProvider({ spanProcessors: [processor], sampler: new AlwaysOffSampler() }).getTracer(
    'test',
  )
}

/** Starts and ends `count` spans through the SDK, named `prefix0`, `prefix1` and so on. */
export function endSpans(tracer: Tracer, count: number, prefix = 'span-'): string[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `${prefix}${i}`
    tracer.startSpan(name).end()
    return name
  })
}

let spanCount = 0

/** A finished span made by hand, with an id of its own. */
export function spanNamed(name: string, parts: SpanParts = {}): ReadableSpan {
  const spanId = (++spanCount).toString(16).padStart(16, '0')
  const traceId = spanId.padStart(32, 'a')
  const span: SpanParts = {
    name,
    kind: SpanKind.INTERNAL,
    spanContext: () => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED }),
    parentSpanContext: undefined,
    attributes: {},
  }
  // By descriptors: a part may be a getter.
  return handMadeSpan(Object.defineProperties(span, Object.getOwnPropertyDescriptors(parts)))
}

/** Ends spans of these names, without any SDK. */
export function end(processor: Pick<BatchSpanProcessor, 'onEnd'>, ...names: string[]): void {
  for (const name of names) processor.onEnd(spanNamed(name))
}

/** `prefix0`, `prefix1` and so on. */
export function names(count: number, prefix = 'span-'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`)
}

/** The context in which `span` is active. */
export function contextOf(span: Span) {
  return trace.setSpan(ROOT_CONTEXT, span)
}
