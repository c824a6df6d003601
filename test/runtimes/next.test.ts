/** tailrace/next in a Next.js app, built by `next build` and served by `next start`: Node and edge routes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { namesOf } from '../helpers/gates.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { isInReadme } from '../helpers/readme.ts'
import { buildApp, type NextServer, startApp } from './next-app.ts'

let collector: Collector
let server: NextServer | undefined
let env: NodeJS.ProcessEnv
let buildOutput: string
/** Answers the requests that the collector holds, and all that come later. */
let release: () => void = () => {}
let seen = 0

beforeAll(async () => {
  collector = await startCollector()
  env = { OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin }
  buildOutput = await buildApp(env)
}, 500_000)

afterAll(async () => {
  release()
  await server?.terminate()
  await collector?.stop()
})

beforeEach(() => {
  seen = collector.requests.length
})

function hold(): void {
  const held: (() => void)[] = []
  collector.otherwise({
    stage: 'request',
    act: (socket, request) => void held.push(() => answers(200).act(socket, request)),
  })
  release = () => {
    collector.otherwise(answers(200))
    for (const answer of held.splice(0)) answer()
  }
}

/** The names of the spans that have come in this test: those of a `wrapHandler` alone, or all others. */
function received(via?: 'wrapped'): string[] {
  return collector.requests
    .slice(seen)
    .filter(({ headers }) => headers['x-via'] === via)
    .flatMap(({ body }) => namesOf(body))
}

async function whenReceived(names: string[], via?: 'wrapped'): Promise<void> {
  const isMissing = () => names.some((name) => !received(via).includes(name))
  const deadline = performance.now() + 8000
  while (isMissing() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(received(via)).toEqual(expect.arrayContaining(names))
}

async function get(path: string): Promise<[status: number, body: string]> {
  const response = await fetch(`${server!.url}${path}`)
  return [response.status, await response.text()]
}

describe('B54: `next build`', () => {
  it('builds what README prints', () => {
    expect(isInReadme('next/instrumentation.ts')).toBe(true)
  })

  it('runs wrapped handlers and exports nothing', () => {
    expect(buildOutput).toMatch(/○ \/api\/static$/m)
    expect(buildOutput).toMatch(/○ \/prerendered$/m)
    expect(collector.connectionCount).toBe(0)
  })

  it('finds nothing that does not belong on the edge', () => {
    expect(buildOutput).not.toMatch(/not supported in the Edge Runtime|Module not found/i)
  })
})

describe('B54: `next start`', { timeout: 30_000 }, () => {
  beforeAll(async () => {
    server = await startApp(env)
  })

  it.each([
    ['a route handler', '/api/orders', 200, ['list orders', 'GET /api/orders']],
    ['a route handler that throws', '/api/orders?broken=1', 500, ['list orders', 'GET /api/orders']],
    ['a server component', '/slow', 200, ['render route (app) /slow', 'GET /slow']],
    ['a pages route', '/api/legacy', 200, ['executing api route (pages) /api/legacy', 'GET /api/legacy']],
    ['an edge route', '/api/edge', 200, ['edge', 'executing api route (app) /api/edge']],
    ['an edge route that throws', '/api/edge?broken=1', 500, ['edge', 'executing api route (app) /api/edge']],
  ])(
    'instrumentation.ts alone delivers all spans of %s, those of Next.js included',
    async (_what, path, status, names) => {
      expect((await get(path))[0]).toBe(status)
      await whenReceived(names)
    },
  )

  it.each([
    ['a route handler', '/api/wrapped', 200, 'wrapped'],
    ['a route handler that throws', '/api/wrapped?broken=1', 500, 'wrapped'],
    ['a streamed response', '/api/stream', 200, 'stream'],
    ['a server component', '/slow', 200, 'render slow page'],
    ['an edge route', '/api/edge-wrapped', 200, 'edge wrapped'],
    ['an edge route that throws', '/api/edge-wrapped?broken=1', 500, 'edge wrapped'],
    ['a pages route, where there is no request scope,', '/api/legacy', 200, 'legacy'],
  ])('wrapHandler alone delivers the spans of %s', async (_what, path, status, name) => {
    expect((await get(path))[0]).toBe(status)
    await whenReceived([name], 'wrapped')
  })

  it('wrapHandler flushes the registered provider, which its module does not share', async () => {
    expect(await get('/api/registered')).toEqual([200, 'answered'])
    await whenReceived(['registered'])
  })

  it.each(['/api/orders', '/api/wrapped', '/api/edge', '/api/edge-wrapped'])(
    '%s answers while the collector does not, and its spans are delivered after the response',
    async (path) => {
      hold()
      expect((await get(path))[0]).toBe(200)
      await collector.whenRequests(seen + 1)
      release()
    },
  )

  it('exports make no spans of their own, though Next.js traces every fetch', async () => {
    await get('/api/edge')
    await collector.whenRequests(seen + 1)
    // What the first export had made would leave with the second.
    await get('/api/edge')
    await collector.whenRequests(seen + 2)
    await whenReceived(['edge'])
    expect(received().filter((name) => name.startsWith('fetch'))).toEqual([])
  })

  it('a route that is not flushed by anybody keeps its spans: the tests above are not idle', async () => {
    await get('/api/unflushed')
    await get('/api/wrapped')
    await whenReceived(['unflushed', 'wrapped'], 'wrapped')
    // They left with the next flush, in its one request.
    const [first] = collector.requests.slice(seen).filter(({ headers }) => headers['x-via'] === 'wrapped')
    expect(namesOf(first!.body)).toEqual(expect.arrayContaining(['unflushed', 'wrapped']))
  })

  it('what is being exported is delivered before SIGTERM ends the server', async () => {
    hold()
    await get('/api/wrapped')
    await collector.whenRequests(seen + 1)
    const ended = server!.terminate()
    const first = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500, 'waiting'))])
    expect(first).toBe('waiting')
    release()
    // Next.js's own code: it has caught the signal.
    expect(await ended).toBe(0)
    expect(received('wrapped')).toContain('wrapped')
  })

  it.each([
    ['wrapHandler', '/api/wrapped', 'wrapped', 'wrapped'],
    ['flushEachRequest', '/api/orders', 'list orders', undefined],
  ] as const)('a response right before SIGTERM loses no span with %s', async (_what, path, name, via) => {
    server = await startApp(env)
    await get(path)
    await server.terminate()
    expect(received(via)).toContain(name)
  })

  it('a collector that never answers delays the end by 5 s at most', async () => {
    server = await startApp(env)
    hold()
    await get('/api/wrapped')
    const startedAt = performance.now()
    await server.terminate()
    expect(performance.now() - startedAt).toBeLessThan(9000)
    release()
  })
})
