/**
 * Edge functions for edge-runtime: what the example does not show. One for each path; `test/runtimes/edge-functions.ts`
 * puts a request context around them.
 */
import { BasicTracerProvider, BatchSpanProcessor as StockProcessor } from '@opentelemetry/sdk-trace-base'
import {
  BatchSpanProcessor,
  ExportError,
  InMemorySpanExporter,
  JsonLinesExporter,
  OTLPTraceExporter,
} from 'tailrace'
import { flushEachRequest, type WaitUntil, wrapHandler } from 'tailrace/vercel'

const url = process.env.COLLECTOR_URL
const { waitUntil } = globalThis as unknown as { waitUntil: WaitUntil }

const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 0 })
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('edge')
const stockProvider = new BasicTracerProvider({
  spanProcessors: [new StockProcessor(new OTLPTraceExporter({ url }))],
})
const perRequest = new BasicTracerProvider({
  spanProcessors: [
    flushEachRequest(
      new BatchSpanProcessor(new OTLPTraceExporter({ url, encoding: 'json' }), { scheduledDelayMillis: 0 }),
    ),
  ],
})

/** Sends 'first', and after a while 'second', with a span that ends then. */
function streamed(): Response {
  const span = tracer.startSpan('stream')
  const encoder = new TextEncoder()
  return new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(encoder.encode('first'))
        setTimeout(() => {
          span.end()
          controller.enqueue(encoder.encode('second'))
          controller.close()
        }, 300)
      },
    }),
    { status: 201, headers: { 'x-kept': 'yes' } },
  )
}

/** A framework's own span, which ends after the handler. */
function withinServerSpan(handler: () => Promise<Response>): Promise<Response> {
  const span = tracer.startSpan('GET /server-span')
  return handler().finally(() => setTimeout(() => span.end(), 50))
}

const answer = () => {
  tracer.startSpan('answer').end()
  return new Response('answered')
}

const empty = () => {
  tracer.startSpan('empty').end()
  return new Response(null, { status: 204 })
}

/** Uses everything that the root entry exports. */
async function useRootEntry(): Promise<Response> {
  const absent = ['process', 'Buffer', 'CompressionStream', 'AsyncLocalStorage'].filter(
    (name) => name in globalThis,
  )
  const inMemory = new InMemorySpanExporter()
  const lines: string[] = []
  const jsonLines = new JsonLinesExporter({ write: (line) => void lines.push(line) })
  const processors = [
    new BatchSpanProcessor(new OTLPTraceExporter({ url, compression: 'gzip' })),
    new BatchSpanProcessor(
      new OTLPTraceExporter({ url, encoding: 'json', headers: async () => ({ 'x-tenant': 'edge' }) }),
    ),
    new BatchSpanProcessor(new OTLPTraceExporter({ url }), {
      encodeAt: 'flush',
      maxExportBatchSize: 2,
      scheduledDelayMillis: 20,
    }),
    new BatchSpanProcessor(inMemory),
    new BatchSpanProcessor(jsonLines),
    new BatchSpanProcessor(new OTLPTraceExporter({ url: 'http://127.0.0.1:1/v1/traces' }), { retry: false }),
  ]
  const all = new BasicTracerProvider({ spanProcessors: processors }).getTracer('root entry')
  for (let number = 0; number < 5; number++) {
    const span = all.startSpan(`span ${number}`, { attributes: { text: 'Füller', ratio: 0.5, list: [1, 2] } })
    span.addEvent('event')
    span.recordException(new Error('recorded'))
    span.end()
  }
  const results = await Promise.all(processors.map((each) => each.flush({ timeoutMillis: 3000 })))
  const refused = results.at(-1)?.error
  await Promise.all(processors.map((each) => each.shutdown({ timeoutMillis: 500 })))
  return Response.json({
    absent,
    statuses: results.map(({ status }) => status),
    refused: refused instanceof ExportError ? refused.code : String(refused),
    inMemory: inMemory.getFinishedSpans().map(({ name }) => name),
    lines: lines.length,
    ledgers: processors.map((each) => each.stats()),
  })
}

export const handlers: Record<string, (request: Request) => Promise<Response>> = {
  '/answer': wrapHandler(answer, { processor }),
  '/given': wrapHandler(answer, { processor, waitUntil }),
  '/streamed': wrapHandler(streamed, { processor }),
  '/empty': wrapHandler(empty, { processor }),
  '/server-span': (request) => withinServerSpan(() => handlers['/answer']!(request)),
  '/stock': wrapHandler(
    () => {
      stockProvider.getTracer('edge').startSpan('stock').end()
      return new Response('answered')
    },
    { provider: stockProvider },
  ),
  '/each-request': async () => {
    const span = perRequest.getTracer('edge').startSpan('each request')
    setTimeout(() => span.end(), 100)
    return new Response('answered')
  },
  '/root-entry': useRootEntry,
}
