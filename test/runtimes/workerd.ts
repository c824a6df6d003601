/** Programs of test/programs in workerd, with a collector in the process of the test. */
import { once } from 'node:events'
import { createServer, get as httpGet, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { build, type Plugin } from 'esbuild'
import { decodeProtobuf, type OtlpSpan } from '../helpers/otlp-schema.ts'

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const root = path('../..')

/** A runtime as users configure it. */
export interface Runtime {
  readonly compatibilityDate: string
  readonly compatibilityFlags: string[]
}

/** The collector: takes spans, and reports of flushes that say that spans were taken. */
export class WorkersCollector {
  readonly spans: OtlpSpan[] = []
  /** What a flush called delivered when it was not here. */
  readonly broken: string[] = []
  requests = 0
  /** How long an answer takes, in milliseconds. */
  delayMillis: () => number = () => 0
  /** Answers nothing, as long as it is set. */
  isStalled = false
  url = ''
  readonly #arrived = new Set<string>()
  readonly #server = createServer((request, response) => {
    this.#answer(request).then(
      (isAnswered) => isAnswered && response.end(),
      (error) => response.writeHead(500).end(String(error)),
    )
  })

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** The notes that the spans carry, in the order of their arrival. One that came twice counts once. */
  get notes(): string[] {
    const spans = new Map(this.spans.map((span) => [span.spanId, span]))
    return Array.from(spans.values(), ({ attributes }) => {
      const value = attributes.find(({ key }) => key === 'note')?.value
      return value !== undefined && 'stringValue' in value ? value.stringValue : ''
    })
  }

  /** The numbers up to `count` that have not arrived. */
  missing(count: number): number[] {
    return Array.from({ length: count }, (_, i) => i + 1).filter(
      (number) => !this.#arrived.has(String(number)),
    )
  }

  async #answer(request: IncomingMessage): Promise<boolean> {
    if (request.url === '/settled') {
      const missing = this.missing(Number(await text(request)))
      if (missing.length > 0) this.broken.push(`a flush said success without ${missing}`)
      return true
    }
    const body = await buffer(request)
    this.requests++
    const isZipped = request.headers['content-encoding'] === 'gzip'
    for (const { scopeSpans } of decodeProtobuf(isZipped ? gunzipSync(body) : body).resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        this.spans.push(span)
        this.#arrived.add(span.name)
      }
    }
    await sleep(this.delayMillis())
    return !this.isStalled
  }
}

/** What a request was answered. */
interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A request on a connection of its own: one that others have aborted may be reset. */
async function get(url: URL): Promise<Answer> {
  const [response] = (await once(httpGet(url, { agent: false }), 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

/** As much of miniflare as is used. */
export interface Workerd {
  /** The Worker's own socket, with no proxy in front of it. */
  readonly url: URL
  /** The socket that also takes what is no request, like mail. */
  readonly entry: URL
  readonly worker: {
    scheduled(options?: object): Promise<{ outcome: string }>
    queue(name: string, messages: object[]): Promise<{ outcome: string }>
  }
  /** What it has written. */
  readonly output: string[]
  get(path: string): Promise<Answer>
  /** `GET` of JSON. */
  json(path: string): Promise<Record<string, unknown> & { ended: number }>
  stop(): Promise<void>
}

interface Miniflare {
  readonly ready: Promise<URL>
  unsafeGetDirectURL(): Promise<URL>
  getWorker(): Promise<Workerd['worker']>
  dispose(): Promise<void>
}

interface MiniflareModule {
  Miniflare: new (options: object) => Miniflare
}

/** How wrangler resolves what a CommonJS package requires of Node. */
const requiredBuiltins: Plugin = {
  name: 'required-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?(async_hooks|events)$/ }, ({ kind, path }) => {
      const name = `node:${path.replace('node:', '')}`
      return kind === 'require-call' ? { path: name, namespace: 'builtin' } : { path: name, external: true }
    })
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `import builtin from '${path}'; module.exports = builtin`,
    }))
  },
}

/** Bundles a program as wrangler does, with what `npm run build` made of this package. */
export async function bundleWorker(program: string, collector: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path(`../${program}`)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    mainFields: ['browser', 'module', 'main'],
    external: ['cloudflare:*'],
    alias: {
      tailrace: `${root}dist/index.js`,
      'tailrace/cloudflare': `${root}dist/lifecycle/cloudflare.js`,
      'tailrace/hono': `${root}dist/lifecycle/hono.js`,
    },
    nodePaths: [path('fixtures/http-frameworks/node_modules')],
    define: { COLLECTOR: JSON.stringify(collector) },
    // Otherwise esbuild follows the `paths` of tsconfig.json out of dist and into src.
    tsconfigRaw: '{}',
    plugins: [requiredBuiltins],
    logLevel: 'error',
  })
  return outputFiles[0]!.text
}

/** Starts workerd. End it with `stop`. */
export async function startWorkerd(script: string, runtime: Runtime, options: object = {}): Promise<Workerd> {
  const require = createRequire(path('fixtures/workers/package.json'))
  const { Miniflare } = require('miniflare') as MiniflareModule
  const output: string[] = []
  const keep = (stream: NodeJS.ReadableStream) => stream.on('data', (data) => output.push(String(data)))
  const miniflare = new Miniflare({
    ...runtime,
    modules: true,
    script,
    port: 0,
    unsafeTriggerHandlers: true,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    handleRuntimeStdio: (...streams: NodeJS.ReadableStream[]) => streams.forEach(keep),
    ...options,
  })
  const url = await miniflare.unsafeGetDirectURL()
  return {
    url,
    entry: await miniflare.ready,
    worker: await miniflare.getWorker(),
    output,
    get: (path) => get(new URL(path, url)),
    json: async (path) => JSON.parse((await get(new URL(path, url))).body),
    stop: () => miniflare.dispose(),
  }
}
