import { trace } from '@opentelemetry/api'

export const runtime = 'edge'

export function GET(request: Request) {
  trace.getTracer('edge').startSpan('edge').end()
  if (new URL(request.url).searchParams.has('broken')) throw new Error('broken')
  return new Response('answered')
}
