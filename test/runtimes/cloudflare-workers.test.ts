/** tailrace/cloudflare in workerd, as it is built, over the real `fetch`, to a collector on the loopback interface. */
import { readFile } from 'node:fs/promises'
import { get as httpGet } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bundleWorker, type Runtime, startWorkerd, type Workerd, WorkersCollector } from './workerd.ts'

interface Variant extends Runtime {
  readonly name: string
  readonly program: string
  readonly hasRpc: boolean
}

const OLD = '2021-11-02'
const CURRENT = '2026-07-30'

const VARIANTS: Variant[] = [
  {
    name: 'an old compatibility date',
    program: 'worker',
    compatibilityDate: OLD,
    compatibilityFlags: [],
    hasRpc: false,
  },
  {
    name: 'an old compatibility date and nodejs_compat',
    program: 'nodejs',
    compatibilityDate: OLD,
    compatibilityFlags: ['nodejs_compat'],
    hasRpc: false,
  },
  {
    name: 'the current compatibility date',
    program: 'worker',
    compatibilityDate: CURRENT,
    compatibilityFlags: [],
    hasRpc: true,
  },
  {
    name: 'the current compatibility date and nodejs_compat',
    program: 'nodejs',
    compatibilityDate: CURRENT,
    compatibilityFlags: ['nodejs_compat', 'enable_request_signal'],
    hasRpc: true,
  },
]

/** What workerd writes when promises, timers or sockets cross requests, or something rejects unseen. */
const COMPLAINTS =
  /hung|different request|cross-request|I\/O on behalf|uncaught|unhandled|waitUntil\(\) tasks/i

describe.each(VARIANTS.map((variant) => [variant.name, variant] as const))(
  'with %s',
  { timeout: 90_000 },
  (_name, { program, hasRpc, ...runtime }) => {
    const collector = new WorkersCollector()
    let workerd: Workerd

    beforeAll(async () => {
      await collector.start()
      workerd = await startWorkerd(
        await bundleWorker(`programs/worker/${program}.ts`, collector.url),
        runtime,
        {
          durableObjects: { COUNTER: 'Counter' },
          serviceBindings: { ENTRY: { name: 'worker', entrypoint: 'Entry' } },
          queueProducers: { QUEUE: 'queue' },
          ...(hasRpc && { workflows: { ORDER: { name: 'order', className: 'Order' } } }),
          name: 'worker',
        },
      )
    }, 60_000)

    afterAll(async () => {
      await workerd?.stop()
      await collector.stop()
    })

    afterEach(() => {
      collector.delayMillis = () => 0
      collector.isStalled = false
    })

    /** How many spans that carry this note the collector has. */
    const count = (note: string) => collector.notes.filter((other) => other === note).length

    /** Settles when it has so many. */
    async function arrived(note: string, expected: number): Promise<void> {
      await vi.waitFor(() => expect(count(note)).toBe(expected), 10_000)
    }

    /** A request whose client goes away. */
    const abortable = (path: string, millis: number) =>
      new Promise<void>((resolve) => {
        const request = httpGet(new URL(path, workerd.url), { agent: false }, (response) => {
          response.resume().on('close', resolve)
        })
        request.on('error', () => resolve())
        setTimeout(() => request.destroy(), millis)
      })

    it('B51: what the wrapper flushes is sent once, though a third of the clients go away', async () => {
      collector.delayMillis = () => 5 + Math.random() * 60
      const requests = Array.from({ length: 120 }, async (_, i) => {
        await sleep(Math.random() * 500)
        if (i % 3 !== 0) await workerd.get(i % 2 ? '/work?millis=50' : '/stream?pieces=3')
        else await abortable(i % 2 ? '/work?millis=100' : '/stream?pieces=20', Math.random() * 150)
      })
      await Promise.all(requests)
      await vi.waitFor(async () => expect((await workerd.json('/stats')).pending).toBe(0), 28_000)
      const stats = await workerd.json('/stats')
      expect(collector.missing(stats.ended)).toEqual([])
      expect(collector.spans).toHaveLength(stats.ended)
    })

    it('B51: 500 overlapping requests, a third of them cancelled or ended without waiting: every span arrives', async () => {
      collector.delayMillis = () => 5 + Math.random() * 60
      const requests = Array.from({ length: 500 }, async (_, i) => {
        await sleep(Math.random() * 2_000)
        const millis = Math.round(Math.random() * 100)
        if (i % 3 !== 0) await workerd.get(i % 2 ? `/work?millis=${millis}` : '/stream?pieces=3')
        else if (i % 4 === 0) await workerd.get('/unwaited')
        else if (i % 4 === 1) await abortable('/waited', millis / 2)
        else if (i % 4 === 2) await abortable(`/work?millis=${100}`, millis)
        else await abortable('/stream?pieces=20', 50 + millis)
      })
      await Promise.all(requests)
      // The last one takes over what the dead have left.
      await workerd.get('/work')
      await vi.waitFor(async () => expect((await workerd.json('/stats')).pending).toBe(0), 28_000)
      await vi.waitFor(async () => {
        const { given, settled } = await workerd.json('/stats')
        expect(settled).toBe(given)
      }, 10_000)

      const stats = await workerd.json('/stats')
      expect(stats.ended).toBeGreaterThan(1_000)
      expect(collector.missing(stats.ended)).toEqual([])
      expect(stats).toMatchObject({ exported: stats.ended, rejected: 0, failed: 0, inFlight: 0 })
      expect(new Set(stats.flushes as string[])).toEqual(new Set(['success']))
      expect(collector.broken).toEqual([])
      console.log(
        `${stats.ended} spans, ${collector.spans.length - stats.ended} of them sent twice, in ${collector.requests} requests; `,
        `${stats.given} promises for waitUntil`,
      )
      expect(workerd.output.filter((line) => COMPLAINTS.test(line))).toEqual([])
    })

    it('B51: a streamed body stays what it is, and is flushed at its end', async () => {
      const response = await workerd.get('/stream?pieces=3')
      expect(response.status).toBe(201)
      expect(response.headers['x-kept']).toBe('yes')
      const before = count('body')
      expect(response.body).toBe('piece 0\npiece 1\npiece 2\n')
      await arrived('body', before + 1)
    })

    it('B51: a stream that the client gives up is flushed, too', async () => {
      const before = count('cancelled')
      httpGet(new URL('/stream?pieces=50', workerd.url), (response) => {
        response.once('data', () => response.destroy())
      })
      await arrived('cancelled', before + 1)
    })

    it('B51: a whole body keeps its length', async () => {
      const before = count('outer')
      const response = await workerd.get('/work')
      expect(response.headers['content-length']).toBe('4')
      expect(response.body).toBe('done')
      await arrived('outer', before + 1)
    })

    it('B51: a span of a request whose client has gone arrives', async () => {
      const before = count('outer')
      const request = httpGet(new URL('/work?millis=300', workerd.url)).on('error', () => {})
      await sleep(100)
      request.destroy()
      await arrived('outer', before + 1)
    })

    it('B51: a handler that throws keeps its error, and its spans arrive', async () => {
      const response = await workerd.get('/throw')
      expect(response.status).toBe(500)
      await arrived('throw', 1)
      await vi.waitFor(() => expect(workerd.output.join('')).toContain('the handler failed'), 10_000)
      workerd.output.length = 0
    })

    it('B51: a handler that hangs is found out at once', async () => {
      const startedAt = performance.now()
      expect((await workerd.get('/hang')).status).toBe(500)
      expect(performance.now() - startedAt).toBeLessThan(5_000)
      await vi.waitFor(() => expect(workerd.output.join('')).toContain('hung'), 10_000)
      workerd.output.length = 0
    })

    it("B51: the program's own background work is waited for, by `const { waitUntil } = ctx`, too", async () => {
      expect((await workerd.get('/background')).body).toBe('done')
      await arrived('background', 1)
    })

    it('B51: flushOnWaitUntil sends what has ended', async () => {
      expect((await workerd.get('/flush-on-wait-until')).body).toBe('done')
      await arrived('bare', 1)
    })

    it('B51: a waitUntil that was torn off its context throws in Workers, and the flush is done all the same', async () => {
      expect((await workerd.get('/destructured')).body).toBe('done')
      expect(collector.notes).toContain('destructured')
    })

    it('B51: without a context the response waits for the flush, a streamed one with its end', async () => {
      const before = { outer: count('outer'), piece: count('piece') }
      await workerd.get('/no-context')
      expect(count('outer')).toBe(before.outer + 1)
      await workerd.get('/no-context?path=/stream%3Fpieces=2')
      // The program ends that span when it has closed the body, so it may miss the flush; the pieces cannot.
      expect(count('piece')).toBe(before.piece + 2)
    })

    it('B51: a provider is flushed through its own forceFlush', async () => {
      const before = count('outer')
      expect((await workerd.get('/provider')).body).toBe('done')
      await arrived('outer', before + 1)
    })

    if (program === 'nodejs') {
      it('B51: a request may end more spans than the queue holds, with a context manager', async () => {
        const before = count('many')
        expect((await workerd.get('/many?count=1500')).body).toBe('done')
        await arrived('many', before + 1_500)
      })
    }

    it('B51: a scheduled handler, and a queue', async () => {
      expect(await workerd.worker.scheduled({})).toMatchObject({ outcome: 'ok' })
      await arrived('scheduled', 1)
      const message = { id: '1', timestamp: new Date(), attempts: 1, body: 'a message' }
      expect(await workerd.worker.queue('queue', [message])).toMatchObject({ outcome: 'ok' })
      await arrived('queue', 1)
    })

    it('B51: mail', async () => {
      const url = new URL('/cdn-cgi/handler/email?from=you@example.com&to=me@example.com', workerd.entry)
      const body = 'From: you@example.com\r\nTo: me@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nhello'
      expect((await fetch(url, { method: 'POST', body })).status).toBe(200)
      await arrived('email', 1)
    })

    it('B51: a tail worker, which is told of what another one did, afterwards and as it happens', async () => {
      const script = await bundleWorker(`programs/worker/${program}.ts`, collector.url)
      const { compatibilityDate, compatibilityFlags } = runtime
      const worker = { modules: true, compatibilityDate, compatibilityFlags }
      const told = 'export default { fetch: () => (console.log("telling"), new Response("told")) }'
      const bindings = { serviceBindings: { ENTRY: 'told' }, queueProducers: { QUEUE: 'queue' } }
      const pair = await startWorkerd(told, runtime, {
        workers: [
          {
            ...worker,
            name: 'told',
            script: told,
            tails: ['tail'],
            streamingTails: ['tail'],
            unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
          },
          {
            ...worker,
            name: 'tail',
            script,
            ...bindings,
            durableObjects: { COUNTER: 'Counter' },
          },
        ],
      })
      expect((await pair.get('/')).body).toBe('told')
      await arrived('tail', 1)
      await arrived('onset', 1)
      await arrived('outcome after log', 1)
      await pair.stop()
    })

    it('B51: a Durable Object: fetch and alarm', async () => {
      expect((await workerd.get('/object?alarm')).body).toBe('object')
      await arrived('object', 1)
      await arrived('alarm', 1)
    })

    it('B51: WebSockets, of a Durable Object that may hibernate, and of a request', async () => {
      expect((await workerd.get('/socket')).body).toBe('hello to you')
      await arrived('socket message', 1)
      await arrived('socket close', 1)
      expect((await workerd.get('/bare-socket')).body).toBe('hello to you')
      await arrived('bare socket', 1)
    })

    if (hasRpc) {
      it('B51: a Workflow, when it has run', async () => {
        expect((await workerd.get('/workflow')).status).toBe(200)
        await arrived('step', 1)
        await arrived('workflow', 1)
      })

      it('B51: RPC of a Durable Object and of an entry point', async () => {
        expect(await workerd.json('/rpc')).toEqual({
          sum: 2,
          failure: 'RangeError: the method failed',
          greeting: 'hello, you',
        })
        await arrived('rpc', 2)
        await arrived('entry', 1)
      })
    }

    it('B51: in the end the books balance, no promise was rejected, and nothing crossed requests', async () => {
      ;(await workerd.get('/work')).body
      await vi.waitFor(async () => expect((await workerd.json('/stats')).pending).toBe(0), 10_000)
      const stats = await workerd.json('/stats')
      expect(stats).toMatchObject({ exported: stats.ended, rejected: 0, failed: 0, pendingBytes: 0 })
      expect(collector.missing(stats.ended)).toEqual([])
      expect(collector.broken).toEqual([])
      expect(workerd.output.filter((line) => COMPLAINTS.test(line))).toEqual([])
    })
  },
)

describe('Hono', { timeout: 60_000 }, () => {
  const collector = new WorkersCollector()
  let workerd: Workerd

  beforeAll(async () => {
    await collector.start()
    const script = await bundleWorker('programs/http/hono-worker.ts', collector.url)
    workerd = await startWorkerd(script, { compatibilityDate: CURRENT, compatibilityFlags: [] })
  })

  afterAll(async () => {
    await workerd?.stop()
    await collector.stop()
  })

  const arrived = (note: string) =>
    vi.waitFor(() => expect(collector.notes.filter((other) => other === note)).toHaveLength(1), 10_000)

  it('B51, B52: a whole body keeps its length, and is flushed', async () => {
    const { headers, body } = await workerd.get('/whole')
    expect([headers['content-length'], body]).toEqual(['5', 'whole'])
    await arrived('whole')
  })

  it('B51, B52: a stream is flushed after its end, whatever its headers say', async () => {
    expect((await workerd.get('/bare')).body).toBe('onetwo')
    await arrived('bare')
  })

  it('B51, B52: a stream that the client gives up is flushed, too', async () => {
    httpGet(new URL('/endless', workerd.url), (response) => {
      response.once('data', () => response.destroy())
    })
    await arrived('endless')
    expect(workerd.output.filter((line) => COMPLAINTS.test(line))).toEqual([])
  })
})

describe('the example', () => {
  it('is what README prints, and sends its span', { timeout: 60_000 }, async () => {
    const [example, readme] = await Promise.all(
      ['../examples/cloudflare.ts', '../../README.md'].map((file) =>
        readFile(new URL(file, import.meta.url), 'utf8'),
      ),
    )
    expect(readme).toContain(`\`\`\`ts\n${example}\`\`\``)

    const collector = new WorkersCollector()
    await collector.start()
    const runtime = { compatibilityDate: CURRENT, compatibilityFlags: ['nodejs_compat'] }
    const script = await bundleWorker('examples/cloudflare.ts', collector.url)
    const workerd = await startWorkerd(script, runtime, {
      bindings: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    })
    expect((await workerd.get('/?name=you')).body).toBe('hello, you\n')
    await vi.waitFor(() => expect(collector.spans.map(({ name }) => name)).toEqual(['GET /']), 10_000)
    await workerd.stop()
    await collector.stop()
  })
})
