/**
 * Hono without a Node response: on a runtime with `waitUntil`, and on one without. Prints the answer to one request, and
 * when what happened:
 *
 *     node hono-elsewhere.mjs <path> <url of the collector> <waitUntil | none | throws>
 */
import { writeSync } from 'node:fs'
import { setTimeout as elapsed } from 'node:timers/promises'
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { Hono } from 'hono'
import { streamText } from 'hono/streaming'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushAfterResponse } from 'tailrace/hono'

const [path = '', url = '', kind = ''] = process.argv.slice(2)
const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 0 })
new NodeTracerProvider({ spanProcessors: [processor] }).register()

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

function work(name: string): void {
  trace.getTracer('hono').startSpan(name).end()
}

const app = new Hono()
// Its span ends when the response has passed us.
app.use(async (_context, next) => {
  await next()
  work('around')
})
app.use(flushAfterResponse({ processor }))
app.get('/hello', (context) => {
  work('work')
  return context.text('hello', 200, { 'x-custom': 'kept' })
})
app.get('/stream', (context) =>
  streamText(context, async (out) => {
    await out.write('one')
    await elapsed(200) // Longer than a flush.
    await out.write('two')
    work('work')
  }),
)
app.get('/error', () => {
  work('work')
  throw new Error('it was meant to fail')
})
app.onError((error, context) => context.text(error.message, 500))

const kept: Promise<unknown>[] = []
class ExecutionContext {
  readonly #kind = kind
  readonly props = {}
  passThroughOnException(): void {}
  /** Throws without its `this`, as on Workers. */
  waitUntil(promise: Promise<unknown>): void {
    if (this.#kind === 'throws') throw new Error('no waitUntil here')
    kept.push(promise)
  }
}

const response = await (kind === 'none'
  ? app.request(path)
  : app.fetch(new Request(`http://localhost${path}`), {}, new ExecutionContext()))
say(
  `answered ${response.status} ${response.headers.get('x-custom')} with ${processor.stats().exported} exported`,
)
say(`body ${await response.text()}`)
say(`kept ${kept.length}`)
await Promise.all(kept)
say(`in the end ${processor.stats().exported} of ${processor.stats().ended}`)
