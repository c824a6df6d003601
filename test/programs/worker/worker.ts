/** A Worker for the tests: each path, event and method does one thing that the helpers have to cope with. */
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from 'cloudflare:workers'
import { type FlushableProvider, flushOnWaitUntil, wrapDurableObject, wrapHandler } from 'tailrace/cloudflare'
import { counts, observed, processor, provider, startSpan, watch } from './spans.ts'

interface Context {
  waitUntil(promise: Promise<unknown>): void
}

/** A WebSocket as Workers have it. */
type WorkerSocket = WebSocket & { accept(): void }

declare const WebSocketPair: new () => { readonly 0: WorkerSocket; readonly 1: WorkerSocket }

interface Stub {
  fetch(url: string, init: { headers: { upgrade: string } }): Promise<Response & { webSocket: WorkerSocket }>
  fetch(url: string): Promise<Response>
  add(number: number): Promise<number>
  fail(): Promise<never>
}

interface Env {
  readonly COUNTER: { idFromName(name: string): unknown; get(id: unknown): Stub }
  readonly ENTRY: { greet(name: string): Promise<string> }
  readonly ORDER: { create(): Promise<{ id: string }> }
  readonly QUEUE: { send(message: unknown): Promise<void> }
}

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))
const text = new TextEncoder()

type Route = (url: URL, env: Env, ctx: Context, request: Request) => Response | Promise<Response>

/** Each in its own file would be a page of imports. */
const routes: Record<string, Route> = {
  /** Spans before and after a pause. */
  async '/work'(url) {
    const outer = startSpan()
    startSpan().end('work')
    await sleep(Number(url.searchParams.get('millis') ?? 10))
    startSpan().end('work')
    outer.end('outer')
    return new Response('done')
  },

  '/throw'() {
    startSpan().end('throw')
    throw new RangeError('the handler failed')
  },

  /** More spans than fill a batch. */
  '/many'(url) {
    for (let left = Number(url.searchParams.get('count')); left > 0; left--) startSpan().end('many')
    return new Response('done')
  },

  /** A span ends with each piece of the body, and one when the client goes away. */
  '/stream'(url) {
    const { readable, writable } = new (
      globalThis as unknown as { IdentityTransformStream: typeof TransformStream }
    ).IdentityTransformStream()
    const writer = writable.getWriter()
    const write = async () => {
      try {
        for (let i = 0; i < Number(url.searchParams.get('pieces')); i++) {
          await writer.write(text.encode(`piece ${i}\n`))
          startSpan().end('piece')
          await sleep(20)
        }
        await writer.close()
        startSpan().end('body')
      } catch {
        startSpan().end('cancelled')
      }
    }
    write()
    return new Response(readable, { status: 201, headers: { 'x-kept': 'yes' } })
  },

  '/background'(_url, _env, { waitUntil }) {
    waitUntil(
      sleep(100).then(() => {
        startSpan().end('background')
      }),
    )
    return new Response('done')
  },

  '/hang': () => new Promise(() => {}),

  async '/object'(url, env) {
    const stub = env.COUNTER.get(env.COUNTER.idFromName('one'))
    return stub.fetch(url.href)
  },

  async '/rpc'(_url, env) {
    const stub = env.COUNTER.get(env.COUNTER.idFromName('one'))
    const failure = await stub.fail().catch((error: Error) => `${error.name}: ${error.message}`)
    return Response.json({ sum: await stub.add(2), failure, greeting: await env.ENTRY.greet('you') })
  },

  /** To a Durable Object that hibernates between messages. */
  async '/socket'(url, env) {
    const stub = env.COUNTER.get(env.COUNTER.idFromName('one'))
    const { webSocket } = await stub.fetch(url.href, { headers: { upgrade: 'websocket' } })
    return new Response((await talk(webSocket)) as string)
  },

  /** One that lives with its request. */
  async '/bare-socket'(_url, _env, ctx) {
    const { 0: client, 1: server } = new WebSocketPair()
    server.accept()
    server.addEventListener('message', ({ data }) => {
      startSpan().end('bare socket')
      server.send(`${data} to you`)
      flushOnWaitUntil(ctx, observed)
    })
    return new Response((await talk(client)) as string)
  },

  async '/workflow'(_url, env) {
    const instance = await env.ORDER.create()
    return new Response(instance.id)
  },

  async '/send'(_url, env) {
    await env.QUEUE.send('a message')
    return new Response('sent')
  },
}

/** Says one thing, and hangs up when it is answered. */
async function talk(socket: WorkerSocket): Promise<unknown> {
  socket.accept()
  const answered = new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => resolve(data))
  })
  socket.send('hello')
  const answer = await answered
  socket.close(1000)
  return answer
}

const worker = {
  fetch(request: Request, env: Env, ctx: Context) {
    const url = new URL(request.url)
    return routes[url.pathname]?.(url, env, ctx, request) ?? new Response('no such path', { status: 404 })
  },
  async scheduled() {
    startSpan().end('scheduled')
  },
  async queue() {
    startSpan().end('queue')
  },
  async email() {
    startSpan().end('email')
  },
  async tail() {
    startSpan().end('tail')
  },
  tailStream() {
    startSpan().end('onset')
    return new TailStream()
  },
}

class TailStream {
  readonly #logged: string[] = []

  log(): void {
    this.#logged.push('log')
  }

  outcome(): void {
    startSpan().end(`outcome after ${this.#logged}`)
  }
}

const wrapped = wrapHandler(worker, { processor: observed })

/** What the wrapper does not see. */
const bare: Record<string, Route> = {
  '/stats': () => Response.json({ ...processor.stats(), ...counts }),

  /** A flush that nobody waits for dies with its request. */
  '/unwaited'() {
    startSpan().end('unwaited')
    processor.flush({ timeoutMillis: 30_000 })
    return new Response('done')
  },

  /** A client that goes away meanwhile ends the request, and with it the flush. */
  async '/waited'() {
    startSpan().end('waited')
    await processor.flush({ timeoutMillis: 30_000 })
    return new Response('done')
  },

  '/end'() {
    startSpan().end('bare')
    return new Response('done')
  },

  '/flush-on-wait-until'(_url, _env, ctx) {
    startSpan().end('bare')
    flushOnWaitUntil(ctx, observed)
    return new Response('done')
  },

  /** The trap: it is a method. The flush begins all the same. */
  async '/destructured'(_url, _env, { waitUntil }) {
    startSpan().end('destructured')
    await flushOnWaitUntil(waitUntil, observed)
    return new Response('done')
  },

  async '/no-context'(url, env) {
    const handler = wrapHandler((request: Request) => worker.fetch(request, env, { waitUntil() {} }), {
      processor: observed,
    })
    return handler(new Request(new URL(url.searchParams.get('path') ?? '/work', url)))
  },

  async '/provider'(url, env, ctx) {
    const onlyProvider: FlushableProvider = provider
    return wrapHandler(worker, { provider: onlyProvider }).fetch(new Request(new URL('/work', url)), env, ctx)
  },
}

export default {
  ...wrapped,
  async fetch(request: Request, env: Env, ctx: Context) {
    const url = new URL(request.url)
    const route = bare[url.pathname]
    if (route !== undefined) return route(url, env, ctx, request)
    watch(ctx)
    return wrapped.fetch(request, env, ctx)
  },
}

class CounterObject extends DurableObject<Env> {
  #sum = 0

  async fetch(request: Request): Promise<Response> {
    startSpan().end('object')
    if (request.headers.has('upgrade')) {
      const { 0: client, 1: server } = new WebSocketPair()
      this.ctx.acceptWebSocket?.(server)
      return new Response(null, { status: 101, webSocket: client } as ResponseInit)
    }
    if (new URL(request.url).searchParams.has('alarm')) await this.ctx.storage?.setAlarm(Date.now() + 50)
    return new Response('object')
  }

  async alarm(): Promise<void> {
    startSpan().end('alarm')
  }

  async add(number: number): Promise<number> {
    this.#sum += number
    this.note()
    return this.#sum
  }

  /** Called from within, and must stay synchronous. */
  note(): string {
    startSpan().end('rpc')
    return 'noted'
  }

  async fail(): Promise<never> {
    startSpan().end('rpc')
    throw new RangeError('the method failed')
  }

  webSocketMessage(socket: WebSocket, message: string): void {
    startSpan().end('socket message')
    socket.send(`${message} to you`)
  }

  webSocketClose(socket: WebSocket): void {
    startSpan().end('socket close')
    socket.close()
  }
}

export const Counter = wrapDurableObject(CounterObject, { processor: observed })

class EntryPoint extends WorkerEntrypoint<Env> {
  async greet(name: string): Promise<string> {
    startSpan().end('entry')
    return `hello, ${name}`
  }
}

class OrderWorkflow extends WorkflowEntrypoint<Env> {
  async run(_event: unknown, step: { do(name: string, work: () => Promise<void>): Promise<void> }) {
    await step.do('ship', async () => {
      startSpan().end('step')
    })
    startSpan().end('workflow')
  }
}

export const Order = wrapHandler(OrderWorkflow, { processor: observed })

export const Entry = wrapHandler(EntryPoint, { processor: observed })
