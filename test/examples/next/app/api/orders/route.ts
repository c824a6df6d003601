/** A route handler like any other: what it does is traced, and sent after its response. */
import { trace } from '@opentelemetry/api'

export function GET(request: Request) {
  return trace.getTracer('shop').startActiveSpan('list orders', (span) => {
    try {
      if (new URL(request.url).searchParams.has('broken')) throw new Error('no orders today')
      return Response.json(['Füller', '傘'])
    } finally {
      span.end()
    }
  })
}
