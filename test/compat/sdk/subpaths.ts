/** Every entry of the package: what each has gets the span `order` out in its own way. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchSpanProcessor, OTLPTraceExporter, type SpanExporter } from 'tailrace'
import { flushOnPageHide } from 'tailrace/browser'
import * as cloudflare from 'tailrace/cloudflare'
import * as express from 'tailrace/express'
import { failover, fanOut } from 'tailrace/fan-out'
import * as fastify from 'tailrace/fastify'
import * as hono from 'tailrace/hono'
import { KafkaTraceExporter } from 'tailrace/kafka'
import * as koa from 'tailrace/koa'
import * as lambda from 'tailrace/lambda'
import { isRegistered } from 'tailrace/lambda/extension'
import * as next from 'tailrace/next'
import { flushBeforeExit, flushOnExit, flushSync, shutdownOnSignal } from 'tailrace/node'
import { spool } from 'tailrace/spool'
import { expectDelivered, fakeLambdaContext, InMemoryCollector } from 'tailrace/testing'
import * as vercel from 'tailrace/vercel'
import { register, type SpanProcessor } from './sdk.js'
import { endSpans } from './spans.js'

/** Nobody listens there. */
const nowhere = () => new OTLPTraceExporter({ url: 'http://127.0.0.1:1/v1/traces' })

/** @returns What does not arrive at the backend, with the way it took as `x-via`. */
export async function run(backend: string): Promise<unknown> {
  const exporterBy = (way: string) =>
    new OTLPTraceExporter({ url: `${backend}/v1/traces`, headers: { 'x-via': way } })
  // Without a timer: it is left to what is tried here.
  const processorOf = (exporter: SpanExporter) =>
    new BatchSpanProcessor(exporter, { scheduledDelayMillis: 0 })
  const by = (way: string) => processorOf(exporterBy(way))

  const collector = new InMemoryCollector()
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-spool-'))
  const messages: string[] = []
  const producer = {
    async send(record: { messages: { value: Buffer }[] }) {
      messages.push(...record.messages.map(({ value }) => value.toString('base64')))
    },
  }
  const browser = by('browser')
  const cloudflareWorker = by('cloudflare')
  const ofFrameworks = {
    express: by('express'),
    fastify: by('fastify'),
    koa: by('koa'),
    hono: by('hono'),
  }
  const several = processorOf(fanOut([exporterBy('fan-out'), failover([nowhere(), exporterBy('failover')])]))
  const kafka = processorOf(new KafkaTraceExporter({ producer }))
  const lambdaFunction = by('lambda')
  const nextHandler = by('next')
  const nextRequests = by('next, each request')
  const beforeExit = by('node, before exit')
  const onExit = by('node, on exit')
  const synchronous = by('node, at once')
  const spooling = processorOf(spool(nowhere(), { directory }))
  const testing = processorOf(new OTLPTraceExporter({ fetch: collector.fetch }))
  const vercelHandler = by('vercel')
  const vercelRequests = by('vercel, each request')

  const tasks: unknown[] = []
  const after = (task: Promise<unknown> | (() => unknown)) =>
    void tasks.push(typeof task === 'function' ? task() : task)
  const waitUntil = (promise: Promise<unknown>) => void tasks.push(promise)

  const processors = [
    browser,
    cloudflareWorker,
    ...Object.values(ofFrameworks),
    several,
    kafka,
    lambdaFunction,
  ]
  processors.push(nextHandler, beforeExit, onExit, synchronous, spooling, testing, vercelHandler)
  const spanProcessors: SpanProcessor[] = [
    ...processors,
    next.flushEachRequest(nextRequests, { after }),
    vercel.flushEachRequest(vercelRequests),
  ]
  const provider = register(spanProcessors)

  // As Vercel has it while a request runs.
  Object.assign(globalThis, { [Symbol.for('@vercel/request-context')]: { get: () => ({ waitUntil }) } })
  flushBeforeExit(beforeExit)
  flushOnExit(onExit)
  endSpans('order')

  flushSync(synchronous)
  const spooled = [flushSync(spooling).spooled ?? 0]
  // Otherwise it would look at its directory at the same time.
  await spooling.shutdown()
  const reader = spool(exporterBy('spool'), { directory })
  spooled.push((await reader.replay()).replayed.spans)

  await Promise.all([several.forceFlush(), kafka.forceFlush(), testing.forceFlush()])
  await lambda.wrapHandler(async (event: string, _context: object) => event, { processor: lambdaFunction })(
    'event',
    fakeLambdaContext({ timeoutMillis: 3_000 }),
  )
  const worker = cloudflare.wrapHandler(
    {
      fetch: async (_request: Request, _env: object, _context: { waitUntil: typeof waitUntil }) =>
        new Response('hello'),
    },
    { processor: cloudflareWorker },
  )
  const request = new Request('http://localhost/')
  await (await worker.fetch(request, {}, { waitUntil })).text()
  const answer = () => new Response('hello')
  await (await vercel.wrapHandler(answer, { processor: vercelHandler, waitUntil })()).text()
  await (await next.wrapHandler(answer, { processor: nextHandler, after })()).text()
  await answerByFrameworks(ofFrameworks)
  // There is no page: it does nothing here, and says nothing.
  flushOnPageHide(browser, provider)()
  await browser.forceFlush()

  // Providers of the SDK are taken, too.
  shutdownOnSignal([provider])()
  const taken = { provider }
  for (const each of [express, fastify, hono, koa]) each.flushAfterResponse(taken)
  lambda.wrapHandler(async (event: string) => event, taken)
  cloudflare.wrapHandler(answer, taken)
  vercel.wrapHandler(answer, taken)
  next.wrapHandler(answer, { provider, after })

  await Promise.all(tasks)
  rmSync(directory, { recursive: true })
  const collected = expectDelivered(testing, collector).exported
  return { messages, spooled, collected, isRegistered }
}

/** Each as its framework calls it, with the response of a real server. */
async function answerByFrameworks(
  processors: Record<'express' | 'fastify' | 'koa' | 'hono', BatchSpanProcessor>,
): Promise<void> {
  const server = createServer((request, response) => {
    const answer = () => void response.end('hello')
    const middlewares: Record<string, () => unknown> = {
      '/express': () =>
        express.flushAfterResponse({ processor: processors.express })(request, response, answer),
      '/fastify': () =>
        fastify.flushAfterResponse({ processor: processors.fastify })(
          { addHook: (_name, hook) => hook(request, { raw: response }, answer) },
          {},
          () => {},
        ),
      '/koa': () =>
        koa.flushAfterResponse({ processor: processors.koa })({ res: response }, async () => answer()),
      '/hono': () =>
        hono.flushAfterResponse({ processor: processors.hono })(
          { env: { outgoing: response }, executionCtx: { waitUntil() {} }, res: new Response() },
          async () => answer(),
        ),
    }
    middlewares[request.url ?? '']?.()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  for (const name of Object.keys(processors)) {
    const [response] = await once(
      get({ port, host: '127.0.0.1', path: `/${name}`, agent: false }),
      'response',
    )
    await once(response.resume(), 'close')
  }
  server.close()
  await once(server, 'close')
}
