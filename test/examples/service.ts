/**
 * A small shop, traced with the OpenTelemetry SDK, its HTTP instrumentation, and tailrace.
 *
 * It sends its spans where OTEL_EXPORTER_OTLP_ENDPOINT says or, with `--json`, writes them to standard output as
 * lines of OTLP JSON. On SIGTERM it shuts down in order. Its own log is JSON lines on standard error.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { NodeTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, JsonLinesExporter, OTLPTraceExporter } from 'tailrace'

// ─── Tracing ───

const writesJson = process.argv.includes('--json')
const processor = new BatchSpanProcessor(writesJson ? new JsonLinesExporter() : new OTLPTraceExporter())

// So that the demo need not take tailrace's word for which spans have ended.
const endedSpanIds: string[] = []
const witness: SpanProcessor = {
  onStart() {},
  onEnd: (span) => void endedSpanIds.push(span.spanContext().spanId),
  async forceFlush() {},
  async shutdown() {},
}

new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'shop', 'service.version': '1.4.2' }),
  spanProcessors: [witness, processor],
}).register()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })

// The instrumentation patches what is loaded after it, and `import` would load before everything else in this file.
const http: typeof import('node:http') = createRequire(import.meta.url)('node:http')
const tracer = trace.getTracer('shop')

// ─── The shop ───

/** A request that fails, and the HTTP status that says so. */
class ShopError extends Error {
  override readonly name: string
  readonly status: number

  constructor(name: string, status: number, message: string) {
    super(message)
    this.name = name
    this.status = status
  }
}

/** Runs `work` in a span that knows how it ended. */
function inSpan<Result>(name: string, work: (span: Span) => Promise<Result>): Promise<Result> {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await work(span)
    } catch (error) {
      span.recordException(error as Error)
      span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
      throw error
    } finally {
      span.end()
    }
  })
}

/** Stands in for a database client and its instrumentation. */
async function query(operation: 'SELECT' | 'UPDATE' | 'INSERT', table: string, text: string): Promise<void> {
  const span = tracer.startSpan(`${operation} ${table}`, {
    kind: SpanKind.CLIENT,
    attributes: {
      'db.system.name': 'postgresql',
      'db.namespace': 'shop',
      'db.collection.name': table,
      'db.operation.name': operation,
      'db.query.text': text,
    },
  })
  await delay(1 + Math.random() * 4)
  span.setAttribute('db.response.returned_rows', operation === 'SELECT' ? 1 : 0).end()
}

function findProduct(id: number): Promise<unknown> {
  return inSpan('find product', async (span) => {
    span.setAttribute('shop.product.id', id)
    await query('SELECT', 'products', 'SELECT * FROM products WHERE id = $1')
    return { id, price: 9.95 }
  })
}

function checkOut(order: number): Promise<unknown> {
  return inSpan('check out', async (span) => {
    span.setAttributes({ 'shop.order.id': order, 'shop.order.items': ['Füller', '傘'] })
    await inSpan('reserve stock', async () => {
      await query('UPDATE', 'stock', 'UPDATE stock SET reserved = $2 WHERE id = $1')
      if (order % 11 === 0) throw new ShopError('OutOfStock', 409, 'no umbrella is left')
    })
    await callPayments(order)
    await query('INSERT', 'orders', 'INSERT INTO orders VALUES ($1, $2)')
    span.addEvent('order placed', { 'shop.order.total': 29.85, 'shop.order.gift': order % 2 === 0 })
    return { order }
  })
}

/** Most services call another one. This one calls itself. */
async function callPayments(order: number): Promise<void> {
  const request = http.request(`${serverUrl()}/payments/${order}`, { method: 'POST' }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await once(response.resume(), 'end')
  if (response.statusCode !== 200) {
    throw new ShopError('PaymentFailed', 502, `payments answered ${response.statusCode}`)
  }
}

function authorizePayment(order: number): Promise<unknown> {
  return inSpan('authorize card', async (span) => {
    await delay(2)
    if (order % 7 === 0) throw new ShopError('CardDeclined', 402, 'the card was declined')
    span.addEvent('card authorized', { 'shop.card.network': 'demo' })
    return { order, authorized: true }
  })
}

// ─── HTTP ───

const routes: Record<string, (id: number) => Promise<unknown>> = {
  'GET /products/:id': findProduct,
  'POST /checkout/:id': checkOut,
  'POST /payments/:id': authorizePayment,
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const [, resource, id] = (request.url ?? '').split('/')
    const route = `/${resource}/:id`
    const handle = routes[`${request.method} ${route}`]
    if (!handle) throw new ShopError('NotFound', 404, 'no such page')
    trace.getActiveSpan()?.updateName(`${request.method} ${route}`).setAttribute('http.route', route)
    const result = await handle(Number(id))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result))
  } catch (error) {
    const { status = 500, message } = error as Partial<ShopError>
    response.writeHead(status).end(message)
  } finally {
    // As in a function that its platform freezes once it has answered. A server need not, but it must not hurt.
    await processor.forceFlush({ timeoutMillis: 2_000 })
  }
}

const server = http.createServer(answer).listen(0, '127.0.0.1')

function serverUrl(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function log(entry: object): void {
  process.stderr.write(`${JSON.stringify(entry)}\n`)
}

server.once('listening', () => log({ listening: serverUrl() }))

process.once('SIGTERM', async () => {
  server.close()
  await once(server, 'close')
  await processor.shutdown()
  log({ ledger: processor.stats(), endedSpanIds })
})
