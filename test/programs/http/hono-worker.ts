/** Hono on Workers: bodies that are given whole, and bodies that are made while they are sent, by whatever helper. */
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { Hono } from 'hono'
import { stream, streamSSE } from 'hono/streaming'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushAfterResponse } from 'tailrace/hono'

/** Where the collector is: written in by the bundler. */
declare const COLLECTOR: string

const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url: `${COLLECTOR}/v1/traces` }))
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('hono')

function work(note: string): void {
  tracer.startSpan(note, { attributes: { note } }).end()
}

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const app = new Hono()
app.use(flushAfterResponse({ processor }))
app.get('/whole', (context) => {
  work('whole')
  return context.text('whole')
})
/** Its headers do not tell that it is a stream. */
app.get('/bare', (context) =>
  stream(context, async (out) => {
    await out.write('one')
    await sleep(200) // Longer than a flush.
    await out.write('two')
    work('bare')
  }),
)
/** Until the client goes away, which nobody else tells of. */
app.get('/endless', (context) =>
  streamSSE(context, async (out) => {
    out.onAbort(() => work('endless'))
    for (let i = 0; i < 100; i++) {
      await out.writeSSE({ data: String(i) })
      await sleep(50)
    }
  }),
)

export default app
