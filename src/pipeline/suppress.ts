/** Keeps the export's own HTTP requests out of the traces that it exports. */
import { context, createContextKey, ROOT_CONTEXT } from '@opentelemetry/api'

// `@opentelemetry/core` makes the same key from the same text in 1.30, 2.x and 3.x; a test holds it against each.
const SUPPRESS_TRACING = /* @__PURE__ */ createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')
const SUPPRESSED = /* @__PURE__ */ ROOT_CONTEXT.setValue(SUPPRESS_TRACING, true)

/**
 * Runs `work` in a context in which instrumentations make no spans. With a synchronous context manager that holds
 * until `work` returns, not for what it awaits: wrap each step that touches the network.
 */
export function suppressTracing<Result>(work: () => Result): Result {
  return context.with(SUPPRESSED, work)
}
