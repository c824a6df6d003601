/** Flushes the provider that instrumentation.ts registered, which this module does not share with it. */
import { trace } from '@opentelemetry/api'
import { after } from 'next/server'
import { wrapHandler } from 'tailrace/next'

export const GET = wrapHandler(
  (_request: Request) => {
    trace.getTracer('shop').startSpan('registered').end()
    return new Response('answered')
  },
  { provider: trace.getTracerProvider(), after },
)
