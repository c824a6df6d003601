/**
 * The same server in each framework, as the tests need it:
 *
 *     node server.mjs <framework> <url of the collector> <options of the helper, JSON, or null for none>
 *
 * Each request ends a span named `work`. Prints `ready <port>`, and `flush` for each flush.
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as elapsed } from 'node:timers/promises'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { trace } from '@opentelemetry/api'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import express from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import Koa from 'koa'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import * as forExpress from 'tailrace/express'
import * as forFastify from 'tailrace/fastify'
import * as forHono from 'tailrace/hono'
import * as forKoa from 'tailrace/koa'

const [framework = '', url = '', json = '{}'] = process.argv.slice(2)

const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 0 })
const provider = new NodeTracerProvider({ spanProcessors: [processor] })
provider.register()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
createRequire(import.meta.url)('node:http')

const flush = processor.flush.bind(processor)
processor.flush = (options) => {
  say('flush')
  return flush(options)
}
const given = JSON.parse(json)
const options = given && (given.withProvider ? { provider } : { processor, ...given })

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

function work(): void {
  trace.getTracer('server').startSpan('work').end()
}

/** A body in pieces; a span ends with the last one. */
async function* pieces() {
  for (const piece of ['one', 'two', 'three']) {
    await elapsed(20)
    yield piece
  }
  work()
}

/** Longer than the client waits. */
async function slow(): Promise<string> {
  work()
  say('slow')
  await elapsed(500)
  return 'too late'
}

const listeners: Record<string, () => RequestListener | Promise<RequestListener>> = {
  express() {
    const app = express()
    app.use('/gone', async (_request, response, next) => {
      say('slow')
      await once(response, 'close')
      await elapsed(20)
      next()
    })
    if (options) {
      const flushAfterResponse = forExpress.flushAfterResponse(options)
      app.use(flushAfterResponse)
      app.use(flushAfterResponse) // Twice does no harm.
    }
    app.get('/hello', (_request, response) => {
      work()
      response.json({ hello: 'Füller' })
    })
    app.get('/raw', (_request, response) => {
      work()
      response.end('räw')
    })
    app.get('/late', (_request, response) => {
      response.on('close', work)
      response.end()
    })
    app.get('/after', (_request, response, next) => {
      response.send('sent')
      say(`after ${response.headersSent} ${response.writableEnded}`)
      response.end('again')
      next()
    })
    app.get('/wrong', (_request, response) => {
      try {
        response.end(42)
      } catch (error) {
        response.end((error as NodeJS.ErrnoException).code)
      }
    })
    app.get('/empty', (_request, response) => {
      work()
      response.status(204).end()
    })
    app.get('/error', () => {
      work()
      throw new Error('it was meant to fail')
    })
    app.get('/stream', (_request, response) => void Readable.from(pieces()).pipe(response))
    app.get('/slow', async (_request, response) => void response.send(await slow()))
    return app
  },

  async fastify() {
    const app = fastify()
    if (options) {
      app.register(forFastify.flushAfterResponse(options))
      app.register(forFastify.flushAfterResponse(options))
    }
    app.get('/hello', async () => {
      work()
      return { hello: 'Füller' }
    })
    app.get('/raw', (_request, reply) => {
      work()
      reply.hijack()
      reply.raw.end('räw')
    })
    app.get('/late', (_request, reply) => {
      reply.raw.on('close', work)
      reply.send()
    })
    app.get('/empty', (_request, reply) => {
      work()
      reply.code(204).send()
    })
    app.get('/error', async () => {
      work()
      throw new Error('it was meant to fail')
    })
    app.get('/stream', (_request, reply) => reply.send(Readable.from(pieces())))
    app.get('/slow', () => slow())
    await app.ready()
    return app.routing
  },

  koa() {
    const app = new Koa()
    app.silent = true
    if (options) {
      const flushAfterResponse = forKoa.flushAfterResponse(options)
      app.use(flushAfterResponse)
      app.use(flushAfterResponse)
    }
    app.use(async (context) => {
      if (context.path === '/slow') context.body = await slow()
      else if (context.path === '/stream') context.body = Readable.from(pieces())
      else if (context.path === '/late') {
        context.res.on('close', work)
        context.body = ''
      } else {
        work()
        if (context.path === '/error') throw new Error('it was meant to fail')
        if (context.path === '/empty') context.status = 204
        if (context.path === '/hello') context.body = { hello: 'Füller' }
        if (context.path === '/raw') {
          context.respond = false
          context.res.statusCode = 200
          context.res.end('räw')
        }
      }
    })
    return app.callback()
  },

  hono() {
    const app = new Hono<{ Bindings: HttpBindings }>()
    if (options) {
      const flushAfterResponse = forHono.flushAfterResponse(options)
      app.use(flushAfterResponse)
      app.use(flushAfterResponse)
    }
    app.onError((_error, context) => context.text('it failed', 500))
    app.get('/hello', (context) => {
      work()
      return context.json({ hello: 'Füller' })
    })
    app.get('/raw', (context) => {
      work()
      return context.body('räw')
    })
    app.get('/late', (context) => {
      context.env.outgoing.on('close', work)
      return context.text('')
    })
    app.get('/empty', (context) => {
      work()
      return context.body(null, 204)
    })
    app.get('/error', () => {
      work()
      throw new Error('it was meant to fail')
    })
    app.get('/stream', (context) =>
      stream(context, async (out) => {
        for await (const piece of pieces()) await out.write(piece)
      }),
    )
    app.get('/slow', async (context) => context.text(await slow()))
    return getRequestListener(app.fetch)
  },
}

const server = createServer(await listeners[framework]!())
server.listen(0, '127.0.0.1', () => say(`ready ${(server.address() as AddressInfo).port}`))
