/** What arrived: the spans of every export request, whichever way it came. */
import { MockOtlpServer, type NormalizedSpan, normalizeTrace } from '@elastic/mockotlpserver'

/** A span as it arrived, with the resource and the scope that it arrived in. */
export interface ReceivedSpan extends NormalizedSpan {
  readonly resource: Record<string, unknown>
  readonly scope: { readonly name?: string; readonly version?: string }
}

/** Takes export requests and keeps their spans, in the order of arrival. */
export class ReceivedSpans {
  readonly spans: ReceivedSpan[] = []
  /** How many requests, or lines, they came in. */
  requestCount = 0

  /** @param request - An OTLP request as decoded from protobuf or JSON. */
  add(request: unknown): void {
    this.requestCount++
    for (const { resource, scopeSpans } of normalizeTrace(request).resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({ ...span, resource: resource?.attributes ?? {}, scope: scope ?? {} })
        }
      }
    }
  }

  /** The spans of each trace, in the order in which the traces began to arrive. */
  traces(): ReceivedSpan[][] {
    const traces = new Map<string, ReceivedSpan[]>()
    for (const span of this.spans) {
      const trace = traces.get(span.traceId)
      if (trace) trace.push(span)
      else traces.set(span.traceId, [span])
    }
    return [...traces.values()]
  }
}

/** Starts a receiver that nobody here wrote, on a free port of the loopback interface. */
export async function startReceiver(onTrace: (request: unknown) => void): Promise<MockOtlpServer> {
  const receiver = new MockOtlpServer({
    logLevel: 'error',
    services: ['http'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    onTrace,
  })
  await receiver.start()
  return receiver
}
