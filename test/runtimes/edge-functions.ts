/** Runs functions in the edge runtime of Vercel, bundled from what is built, as its own builder bundles them. */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixture = `${root}test/runtimes/fixtures/edge-runtime/`

interface EdgeRuntimePackage {
  EdgeRuntime: new (options: { initialCode: string }) => object
  runServer(options: { runtime: object }): Promise<EdgeServer>
}

/** A server in front of the functions. */
export interface EdgeServer {
  readonly url: string
  /** Settles when every promise given to `waitUntil` has. */
  waitUntil(): Promise<unknown>
  close(): Promise<void>
}

/**
 * Serves the functions of the example and of test/programs/vercel-edge.ts by path. The header `x-context` says what
 * request context they find: `vercel` (default), `missing`, `throwing` (its `get` throws) or `refusing` (its `waitUntil`
 * throws). A promise for `waitUntil` that rejects is printed, and makes the server's own `waitUntil` reject.
 */
export async function serveEdgeFunctions(collectorUrl: string): Promise<EdgeServer> {
  const { EdgeRuntime, runServer } = createRequire(`${fixture}package.json`)(
    'edge-runtime',
  ) as EdgeRuntimePackage
  const { outputFiles } = await build({
    stdin: { contents: SERVER, resolveDir: root },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    conditions: ['edge-light', 'worker'],
    nodePaths: [`${fixture}node_modules`],
    // There is no `process`: builders replace each variable. @vercel/functions reads DEBUG as it loads.
    define: { 'process.env.COLLECTOR_URL': JSON.stringify(collectorUrl), 'process.env.DEBUG': '""' },
    // Otherwise esbuild follows the `paths` of tsconfig.json out of dist and into src.
    tsconfigRaw: '{}',
    logLevel: 'warning',
  })
  return runServer({ runtime: new EdgeRuntime({ initialCode: outputFiles[0]!.text }) })
}

const SERVER = `
  import { waitUntil } from '@vercel/functions'
  globalThis.waitUntil = waitUntil

  const CONTEXTS = {
    vercel: (event) => ({ waitUntil: (promise) => event.waitUntil(promise) }),
    missing: () => undefined,
    throwing: () => { throw new Error('no context') },
    refusing: () => ({ waitUntil() { throw new Error('not now') } }),
  }

  addEventListener('fetch', (event) => {
    const { request } = event
    const path = new URL(request.url).pathname
    const get = () => CONTEXTS[request.headers.get('x-context') ?? 'vercel'](event)
    globalThis[Symbol.for('@vercel/request-context')] = { get }
    const respond = async () => {
      const example = await import('./test/examples/vercel.ts')
      const { handlers } = await import('./test/programs/vercel-edge.ts')
      try {
        return await (handlers[path] ?? example.GET)(request)
      } catch (error) {
        return new Response(error.message, { status: 500 })
      }
    }
    event.respondWith(respond())
  })
`
