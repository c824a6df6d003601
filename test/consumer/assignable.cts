/** By `require`: the same as assignable.mts. */
import * as sdk2 from '@opentelemetry/sdk-trace-base'
import * as sdk1 from 'sdk-trace-base-1'
import {
  BatchSpanProcessor,
  type FlushResult,
  InMemorySpanExporter,
  JsonLinesExporter,
  OTLPProtobufTraceExporter,
  OTLPTraceExporter,
  type ReadableSpan,
  type SpanExporter,
} from 'tailrace'
import { flushOnPageHide } from 'tailrace/browser'
import * as cloudflare from 'tailrace/cloudflare'
import * as forExpress from 'tailrace/express'
import { failover, fanOut } from 'tailrace/fan-out'
import * as forFastify from 'tailrace/fastify'
import * as forHono from 'tailrace/hono'
import { KafkaTraceExporter } from 'tailrace/kafka'
import * as forKoa from 'tailrace/koa'
import * as lambda from 'tailrace/lambda'
import { isRegistered } from 'tailrace/lambda/extension'
import * as next from 'tailrace/next'
import { flushBeforeExit, flushOnExit, flushSync, shutdownOnSignal } from 'tailrace/node'
import { type SpoolExporter, spool } from 'tailrace/spool'
import { InMemoryCollector } from 'tailrace/testing'
import * as vercel from 'tailrace/vercel'

const processor = new BatchSpanProcessor(new OTLPTraceExporter())

export const processors2: sdk2.SpanProcessor[] = [processor]
export const processors1: sdk1.SpanProcessor[] = [processor]
export const provider2 = new sdk2.BasicTracerProvider({ spanProcessors: [processor] })
export const provider1 = new sdk1.BasicTracerProvider({ spanProcessors: [processor] })

export const stop: () => void = flushOnPageHide(processor, provider2, provider1)

const exporters = [
  new OTLPTraceExporter(),
  new OTLPProtobufTraceExporter(),
  new JsonLinesExporter(),
  new InMemorySpanExporter(),
]

export const exporters2: sdk2.SpanExporter[] = exporters
export const exporters1: sdk1.SpanExporter[] = exporters
export const stock2 = exporters.map((exporter) => new sdk2.BatchSpanProcessor(exporter))
export const stock1 = exporters.map((exporter) => new sdk1.BatchSpanProcessor(exporter))

const theirs = [
  new sdk2.InMemorySpanExporter(),
  new sdk1.InMemorySpanExporter(),
  new sdk2.ConsoleSpanExporter(),
  new sdk1.ConsoleSpanExporter(),
]

export const ours: SpanExporter[] = theirs
export const fed = theirs.map((exporter) => new BatchSpanProcessor(exporter))

export const branching: SpanExporter = fanOut([new OTLPTraceExporter(), failover(theirs)])
export const kafka: sdk2.SpanExporter = new KafkaTraceExporter({ producer: { send: async () => {} } })
export const branching2: sdk2.SpanExporter = branching
export const branching1: sdk1.SpanExporter = branching

export const spans2: sdk2.ReadableSpan[] = new InMemorySpanExporter().getFinishedSpans()
export const spansOf2: ReadableSpan[] = new sdk2.InMemorySpanExporter().getFinishedSpans()
export const spansOf1: ReadableSpan[] = new sdk1.InMemorySpanExporter().getFinishedSpans()

export const worker: { fetch(request: object): string } = cloudflare.wrapHandler(
  { fetch: (_request: object) => '', other: 1 },
  { processor },
)
export const oneFunction: (request: object) => string = cloudflare.wrapHandler((_request: object) => '', {
  provider: provider2,
})
export const Counter = cloudflare.wrapDurableObject(
  class {
    readonly count = 1
  },
  { provider: provider1 },
)
export const { count }: { count: number } = new Counter()
export const flushed: Promise<void> = cloudflare.flushOnWaitUntil({ waitUntil() {} }, processor)
export const handlers = [
  vercel.wrapHandler((request: Request) => new Response(request.url), { processor }),
  vercel.wrapHandler(async () => new Response(), { provider: provider2, waitUntil: () => {} }),
  next.wrapHandler((request: Request) => new Response(request.url), { provider: provider1, after: () => {} }),
]
export const perRequest2: sdk2.SpanProcessor[] = [vercel.flushEachRequest(processor)]
export const perRequest1: sdk1.SpanProcessor[] = [next.flushEachRequest(processor, { after: () => {} })]
const spooling: SpoolExporter = spool(new OTLPTraceExporter(), { directory: 'spool' })

export const spooled = new BatchSpanProcessor(spooling)
export const spooled2 = new sdk2.BatchSpanProcessor(spooling)
export const spooled1 = new sdk1.BatchSpanProcessor(spooling)

export const collected = new OTLPTraceExporter({ fetch: new InMemoryCollector().fetch })
const targets = [processor, new sdk2.BasicTracerProvider(), new sdk1.BasicTracerProvider()]

export const disposers = [
  shutdownOnSignal(targets, { signals: ['SIGTERM'], onDone: ({ status }) => status }),
  shutdownOnSignal(processor),
  flushBeforeExit(targets),
  flushOnExit(processor),
  flushOnExit([processor], { timeoutMillis: 1 }),
]
export const result: FlushResult = flushSync(processor)
export const middlewares = targets.flatMap((provider) => [
  forExpress.flushAfterResponse({ provider }),
  forFastify.flushAfterResponse({ provider }),
  forHono.flushAfterResponse({ provider }),
  forKoa.flushAfterResponse({ provider }),
])
export const middleware = forExpress.flushAfterResponse({ processor })

// A wrapped handler has the type of the handler.
type Handler = (event: { name: string }, context: { awsRequestId: string }) => Promise<string>
export const greet: Handler = lambda.wrapHandler(async ({ name }: { name: string }) => name, { processor })
export const wrapped2: Handler = lambda.wrapHandler<Handler>(async ({ name }) => name, {
  provider: provider2,
})
export const wrapped1: Handler = lambda.wrapHandler<Handler>(async ({ name }) => name, {
  provider: provider1,
})
export const registered: boolean = isRegistered
