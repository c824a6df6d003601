import fc from 'fast-check'
import type { ReadableSpan } from '../../src/types.ts'
import { sdk1Spans, sdkSpans, spans } from '../helpers/spans.ts'

const SAMPLED = 1

/**
 * Sampled spans with different ids: three of four from real SDKs, as a web shop's instrumentations make them, and every
 * fourth with anything in it that a span may hold. The same ones for the same seed, but for the SDKs' ids and times.
 */
export function variedSpans(count: number, seed: number): ReadableSpan[] {
  const fromSdks = Math.floor((count * 3) / 4)
  const ofSdk1 = Math.floor(fromSdks / 9)
  const anything = fc.sample(spans, { numRuns: count - fromSdks, seed }).map(withIds)
  const real = [...sdk1Spans(ofSdk1), ...sdkSpans(Math.ceil(fromSdks / 3) - ofSdk1)].slice(0, fromSdks)
  // Mixed, so that scopes and resources change from one span to the next.
  return real
    .flatMap((span, index) => (index % 3 === 0 ? [span, ...anything.splice(0, 1)] : [span]))
    .concat(anything)
}

/** Generated ids may repeat, which nothing could be told apart by. */
function withIds(span: ReadableSpan, index: number): ReadableSpan {
  const spanContext = {
    ...span.spanContext(),
    traceId: `fc${(index >> 3).toString(16).padStart(30, '0')}`,
    spanId: `fc${index.toString(16).padStart(14, '0')}`,
  }
  spanContext.traceFlags |= SAMPLED
  return { ...span, spanContext: () => spanContext }
}
