/** Traces whose spans end in between one another, as those of concurrent requests do. */
import { SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import type { ReadableSpan } from '../../src/types.ts'
import { spanNamed } from './processors.ts'
import { PARENT_SPAN_ID } from './spans.ts'

/** What is said of a span of a trace. */
export interface TracePart {
  readonly isRoot?: boolean
  readonly isError?: boolean
}

/** A span of trace number `trace`. */
export function spanOf(trace: number, name: string, { isRoot, isError }: TracePart = {}): ReadableSpan {
  const traceId = (trace + 1).toString(16).padStart(32, '0')
  const span = spanNamed(name)
  const { spanId } = span.spanContext()
  return spanNamed(name, {
    spanContext: () => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED }),
    parentSpanContext: isRoot
      ? undefined
      : { traceId, spanId: PARENT_SPAN_ID, traceFlags: TraceFlags.SAMPLED },
    status: { code: isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
  })
}

/** A span of a made-up load. */
export interface LoadSpan {
  readonly trace: number
  /** The root, which ends last. */
  readonly isRoot: boolean
  readonly isError: boolean
}

/**
 * The spans of `concurrent` requests at a time, in the order in which they end; 7.5 spans a request on average, one span
 * in 50 an error. The same for the same seed.
 */
export function* interleavedTraces(concurrent: number, seed = 1): Generator<LoadSpan, never> {
  const random = mulberry32(seed)
  let count = 0
  const request = () => ({ trace: count++, left: 1 + Math.floor(-Math.log(1 - random()) * 7) })
  const open = Array.from({ length: concurrent }, request)
  for (;;) {
    const at = Math.floor(random() * concurrent)
    const isRoot = --open[at]!.left === 0
    yield { trace: open[at]!.trace, isRoot, isError: random() < 0.02 }
    if (isRoot) open[at] = request()
  }
}

/** A small generator of random numbers: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
