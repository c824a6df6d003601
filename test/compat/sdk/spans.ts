/** What all scenarios do between setting up and taking down. */
import { createRequire } from 'node:module'
import { SpanStatusCode, trace } from '@opentelemetry/api'

/** A request to a server of this process, within a span: both its sides are instrumented. */
export async function serveOneRequest(): Promise<void> {
  // The instrumentation patches what is loaded after it by `require`.
  createRequire(process.argv[1]!)('node:http')
  const { exchange } = await import('./exchange.js')
  await trace.getTracer('program').startActiveSpan('work', async (span) => {
    await exchange()
    span.setStatus({ code: SpanStatusCode.OK }).end()
  })
}

export function endSpans(...names: string[]): void {
  for (const name of names)
    trace
      .getTracer('program')
      .startSpan(name, { attributes: { app: 'shop' } })
      .end()
}
