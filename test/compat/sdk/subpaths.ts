/** Every entry next to the root, with a provider of the SDK: for the compilers. */
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushOnPageHide } from 'tailrace/browser'
import * as cloudflare from 'tailrace/cloudflare'
import * as express from 'tailrace/express'
import * as fastify from 'tailrace/fastify'
import * as hono from 'tailrace/hono'
import * as koa from 'tailrace/koa'
import * as lambda from 'tailrace/lambda'
import { isRegistered } from 'tailrace/lambda/extension'
import * as next from 'tailrace/next'
import { flushBeforeExit, shutdownOnSignal } from 'tailrace/node'
import { expectDelivered, InMemoryCollector } from 'tailrace/testing'
import * as vercel from 'tailrace/vercel'
import { register, type SpanProcessor } from './sdk.js'

const collector = new InMemoryCollector()
const processor = new BatchSpanProcessor(new OTLPTraceExporter({ fetch: collector.fetch }))
const provider = register([processor])

export const spanProcessors: SpanProcessor[] = [
  processor,
  vercel.flushEachRequest(processor),
  next.flushEachRequest(processor, { after: () => {} }),
]
export const stops: (() => void)[] = [
  flushOnPageHide(processor, provider),
  shutdownOnSignal([processor, provider]),
  flushBeforeExit(provider),
]
export const middlewares = [
  express.flushAfterResponse({ provider }),
  fastify.flushAfterResponse({ provider }),
  hono.flushAfterResponse({ provider }),
  koa.flushAfterResponse({ provider }),
]
export const greet: (name: string) => Promise<string> = lambda.wrapHandler(async (name: string) => name, {
  provider,
})
export const worker: (name: string) => string = cloudflare.wrapHandler((name: string) => name, { provider })
export const checks: (boolean | number)[] = [isRegistered, expectDelivered(processor, collector).ended]
