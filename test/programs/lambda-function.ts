/**
 * A Lambda function with a handler of each kind, wrapped as the environment says, or not at all (`MODE=unwrapped`).
 * What a handler does, its event says.
 */
import { trace } from '@opentelemetry/api'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { type LambdaHandler, type WrapHandlerOptions, wrapHandler } from 'tailrace/lambda'

/** What a handler is told. */
export interface Order {
  /** How many spans it ends, named `<request id>/<number>`. Default 1. */
  readonly spans?: number
  /** How long it takes, in milliseconds. Default: no time. */
  readonly takesMillis?: number
  /** A span that ends this much later than the handler, in milliseconds, named `<request id>/late`. */
  readonly lateMillis?: number
  /** Ends as an `Error`, a string, a value; or never. Default: the value. */
  readonly outcome?: 'value' | 'undefined' | 'error' | 'string' | 'never'
  /** How a callback handler answers. Default `callback`. */
  readonly by?: 'callback' | 'succeed' | 'fail' | 'done' | 'promise' | 'nothing'
  /** The context's `callbackWaitsForEmptyEventLoop`. Default: left alone, which is true. */
  readonly waitsForEmptyEventLoop?: boolean
  /** The handler calls the provider's `forceFlush` itself. */
  readonly flushes?: boolean
}

interface Context {
  awsRequestId: string
  callbackWaitsForEmptyEventLoop: boolean
  done(error: unknown, value?: unknown): void
  succeed(value: unknown): void
  fail(error: unknown): void
}

type Callback = (error: unknown, value?: unknown) => void

class CardDeclined extends Error {
  override readonly name = 'CardDeclined'
}

const { MODE = 'before-response', TARGET = 'processor', ROOT_SPAN = 'true' } = process.env
const numberOf = (name: string) => (process.env[name] === undefined ? undefined : Number(process.env[name]))

const processor = new BatchSpanProcessor(new OTLPTraceExporter(), {
  scheduledDelayMillis: numberOf('SCHEDULE_MILLIS') ?? 5000,
})
export const provider = new NodeTracerProvider({ spanProcessors: [processor] })
provider.register()
const tracer = trace.getTracer('function')

const options: WrapHandlerOptions = {
  ...(TARGET === 'provider' ? { provider } : { processor }),
  mode: MODE === 'after-response' ? MODE : 'before-response',
  timeoutMillis: numberOf('TIMEOUT_MILLIS'),
  marginMillis: numberOf('MARGIN_MILLIS'),
  rootSpan: ROOT_SPAN === 'true',
}

function wrap<Handler extends LambdaHandler>(handler: Handler): Handler {
  return MODE === 'unwrapped' ? handler : wrapHandler(handler, options)
}

async function work(order: Order, { awsRequestId }: Context): Promise<unknown> {
  console.log(`working on ${JSON.stringify(order)}`)
  for (let i = 0; i < (order.spans ?? 1); i++) tracer.startSpan(`${awsRequestId}/${i}`).end()
  if (order.takesMillis) await elapsed(order.takesMillis)
  if (order.lateMillis) {
    const late = tracer.startSpan(`${awsRequestId}/late`)
    setTimeout(() => late.end(), order.lateMillis)
  }
  if (order.flushes) await provider.forceFlush()
  if (order.outcome === 'error') throw new CardDeclined('the card was declined')
  if (order.outcome === 'string') throw 'thrown as it is'
  if (order.outcome === 'undefined') return undefined
  if (order.outcome === 'never') await new Promise(() => setInterval(() => {}, 1000))
  return { greeting: 'Grüße 傘', order, at: performance.timeOrigin + performance.now() }
}

function elapsed(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}

export const handler = wrap((order: Order, context: Context) => work(order, context))

/** Throws or returns without a promise. */
export const synchronous = wrap((order: Order, context: Context) => {
  tracer.startSpan(`${context.awsRequestId}/0`).end()
  if (order.outcome === 'error') throw new CardDeclined('the card was declined')
  return 'a plain value'
})

export const callback = wrap((order: Order, context: Context, callback: Callback) => {
  const { by = 'callback', waitsForEmptyEventLoop } = order
  if (waitsForEmptyEventLoop !== undefined) context.callbackWaitsForEmptyEventLoop = waitsForEmptyEventLoop
  const outcome = work(order, context)
  if (by === 'promise') return outcome
  outcome.then(
    (value) => {
      if (by === 'callback') callback(null, value)
      if (by === 'succeed') context.succeed(value)
      if (by === 'done') context.done(null, value)
    },
    (error: unknown) => {
      if (by === 'callback') callback(error)
      if (by === 'fail') context.fail(error)
      if (by === 'done') context.done(error)
    },
  )
  return undefined
})

interface ResponseStream {
  setContentType(type: string): void
  write(chunk: string): boolean
  end(): void
}

declare const awslambda: {
  streamifyResponse(
    handler: (order: Order, stream: ResponseStream, context: Context) => Promise<void>,
    options: { highWaterMark: number },
  ): LambdaHandler
}

async function stream(order: Order, responseStream: ResponseStream, context: Context): Promise<void> {
  responseStream.setContentType('text/plain')
  for (let chunk = 0; chunk < 3; chunk++) {
    responseStream.write(`chunk ${chunk}\n`)
    await elapsed(2)
  }
  await work(order, context)
  responseStream.end()
}

export const streaming = wrap(awslambda.streamifyResponse(stream, { highWaterMark: 16_384 }))
/** The same, marked as streaming after it was wrapped. */
export const streamingOutside = awslambda.streamifyResponse(
  wrap((order: Order, responseStream: ResponseStream, context: Context) =>
    stream(order, responseStream, context),
  ),
  { highWaterMark: 16_384 },
)

/** An outer layer that answers some events without calling the wrapped handler, or without waiting for it. */
export const guarded = async (order: Order, context: Context) => {
  if (order.outcome === 'undefined') return 'guarded'
  const outcome = handler(order, context)
  return order.outcome === 'never' ? 'impatient' : outcome
}

/** A handler that nobody wrapped, in a process that has the extension. */
export const bare = async (order: Order, context: Context) => work(order, context)
