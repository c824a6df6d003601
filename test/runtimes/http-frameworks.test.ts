/** What must hold after each response, with the real frameworks, the real instrumentation, and real clients. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as elapsed } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { bundleProgram } from '../helpers/bundle.ts'
import { freePort } from '../helpers/free-port.ts'
import { namesOf } from '../helpers/gates.ts'
import { answersAfter, hangsAfterReading } from '../helpers/misbehaviours.ts'
import { type Program, withProgram } from '../helpers/program.ts'
import { isInReadme } from '../helpers/readme.ts'

const fixture = fileURLToPath(new URL('fixtures/http-frameworks', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(fixture, 'node_modules/.cache/tailrace')
/** A request counts as soon as its headers have come; its body may take a moment more. */
const PATIENCE = { timeout: 20_000, interval: 20 }
const FRAMEWORKS = ['express', 'fastify', 'koa', 'hono'] as const

/** Runs a bundle, in front of a collector. */
async function run<Result>(
  file: string,
  args: (url: string) => string[],
  check: (program: Program) => Promise<Result>,
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  return withProgram((collector) => {
    return spawn(process.execPath, [file, ...args(collector.url)], {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        NODE_ENV: 'production', // Otherwise Express answers errors with a stack trace.
        OTEL_EXPORTER_OTLP_ENDPOINT: new URL(collector.url).origin,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }, check)
}

/** What the client sees, without what differs from one answer to the next. */
interface Answer {
  readonly status: number | undefined
  readonly headers: Record<string, unknown>
  readonly body: string
}

async function get(port: string, path: string, method = 'GET'): Promise<Answer> {
  const sent = request({ host: '127.0.0.1', port, path, method, agent: false }).end()
  const [response] = await once(sent, 'response')
  const { date, ...headers } = response.headers
  return { status: response.statusCode, headers, body: await text(response) }
}

async function portOf(program: Program): Promise<string> {
  return (await program.said('ready')).slice('ready '.length)
}

/** The names of the spans in each request to the collector. */
function batches({ collector }: Program): string[][] {
  return collector.requests.map(({ body }) => namesOf(body).sort())
}

describe('HTTP frameworks', { timeout: 60_000 }, () => {
  let server: string
  beforeAll(async () => {
    server = await bundleProgram('http/server.ts', cache)
  })

  const serve = <Result>(
    framework: string,
    options: object | null,
    check: (program: Program) => Promise<Result>,
  ) => run(server, (url) => [framework, url, JSON.stringify(options)], check)

  test('the programs and the examples fit the types of the frameworks', async () => {
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', 'test/programs/http'], {
      cwd: root,
    }).catch((error) => error)
    expect(stdout).toBe('')
  })

  describe.each(FRAMEWORKS)('%s', (framework) => {
    test.concurrent('B52: after each response, however it comes about, one flush that has its server span', () =>
      serve(framework, {}, async (program) => {
        const port = await portOf(program)
        const paths = ['/hello', '/raw', '/empty', '/error', '/stream', '/late', '/nowhere']
        for (const [index, path] of paths.entries()) {
          await get(port, path)
          await program.collector.whenRequests(index + 1)
        }
        // The instrumentation names the server span after the method, or the route if it knows.
        const spans = ['GET', 'work']
        const ofNowhere = framework === 'koa' ? spans : ['GET']
        await vi.waitFor(() => {
          expect(batches(program)).toEqual([spans, spans, spans, spans, spans, spans, ofNowhere])
          expect(program.all('flush')).toHaveLength(paths.length)
        }, PATIENCE)
      }))

    test.concurrent('B52: when the client hangs up, the server span is flushed all the same, once', () =>
      serve(framework, {}, async (program) => {
        const port = await portOf(program)
        const sent = request({ host: '127.0.0.1', port, path: '/slow', agent: false }).end()
        sent.on('error', () => {})
        await program.said('slow')
        sent.destroy()
        await vi.waitFor(() => expect(batches(program)).toEqual([['GET', 'work']]), PATIENCE)
        await elapsed(700) // Longer than the handler, which ends into the void.
        expect(program.all('flush')).toHaveLength(1)
        expect(batches(program)).toHaveLength(1)
      }))

    test.concurrent('B52: requests on one kept-alive connection are flushed one by one', () =>
      serve(framework, {}, async (program) => {
        const port = await portOf(program)
        const socket = connect(Number(port), '127.0.0.1')
        for (let count = 1; count <= 3; count++) {
          socket.write('GET /hello HTTP/1.1\r\nHost: here\r\n\r\n')
          await program.collector.whenRequests(count)
        }
        await vi.waitFor(() => expect(batches(program)).toEqual(Array(3).fill(['GET', 'work'])), PATIENCE)
        socket.destroy()
      }))

    test.concurrent('B52: overlapping requests lose nothing', () =>
      serve(framework, {}, async (program) => {
        const port = await portOf(program)
        await Promise.all(Array.from({ length: 50 }, () => get(port, '/hello')))
        await vi.waitFor(() => {
          expect(program.names).toEqual([...Array(50).fill('GET'), ...Array(50).fill('work')])
          expect(program.all('flush')).toHaveLength(50)
        }, PATIENCE)
      }))

    test.concurrent('a collector that hangs changes no response', () =>
      serve(framework, {}, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        const port = await portOf(program)
        expect((await get(port, '/hello')).body).toBe('{"hello":"Füller"}')
        expect((await get(port, '/hello')).body).toBe('{"hello":"Füller"}')
      }))

    test.concurrent('a provider is flushed by its own forceFlush', () =>
      serve(framework, { withProvider: true }, async (program) => {
        await get(await portOf(program), '/hello')
        await vi.waitFor(() => expect(batches(program)).toEqual([['GET', 'work']]), PATIENCE)
      }))

    test.concurrent('holdResponse: the response is over when the collector has what had ended, and the server span follows', () =>
      serve(framework, { holdResponse: true }, async (program) => {
        const port = await portOf(program)
        let answer = () => {}
        const held = new Promise<void>((resolve) => {
          answer = resolve
        })
        program.collector.script(answersAfter(held, 200))
        let isOver = false
        const answered = get(port, '/hello').then((response) => {
          isOver = true
          return response
        })
        await program.collector.whenRequests(1)
        await elapsed(200)
        expect(isOver).toBe(false)
        answer()
        expect((await answered).body).toBe('{"hello":"Füller"}')
        await vi.waitFor(() => expect(batches(program)).toEqual([['work'], ['GET']]), PATIENCE)
      }))

    test.concurrent('holdResponse: a collector that hangs delays the response by the deadline, no longer', () =>
      serve(framework, { holdResponse: true, timeoutMillis: 300 }, async (program) => {
        program.collector.otherwise(hangsAfterReading())
        const port = await portOf(program)
        const startedAt = performance.now()
        expect((await get(port, '/hello')).body).toBe('{"hello":"Füller"}')
        expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295)
        expect(performance.now() - startedAt).toBeLessThan(5000)
      }))

    test.concurrent('holdResponse: a client that hangs up meanwhile harms nobody', () =>
      serve(framework, { holdResponse: true, timeoutMillis: 1000 }, async (program) => {
        program.collector.script(hangsAfterReading())
        const port = await portOf(program)
        const sent = request({ host: '127.0.0.1', port, path: '/hello', agent: false }).end()
        sent.on('error', () => {})
        await program.collector.whenRequests(1)
        sent.destroy()
        await elapsed(1200)
        expect((await get(port, '/hello')).status).toBe(200)
        expect(program.lines.filter((line) => line !== 'flush')).toHaveLength(1)
      }))

    test.concurrent('the client sees the same, byte for byte, with and without', async () => {
      const answers = (options: object | null) =>
        serve(framework, options, async (program) => {
          const port = await portOf(program)
          const seen: Record<string, Answer> = {}
          for (const path of ['/hello', '/raw', '/empty', '/error', '/stream', '/late', '/nowhere']) {
            for (const method of ['GET', 'HEAD']) seen[`${method} ${path}`] = await get(port, path, method)
          }
          return seen
        })
      const without = await answers(null)
      expect(without['GET /hello']).toMatchObject({ status: 200, headers: { 'content-length': '19' } })
      expect(await answers({})).toEqual(without)
      expect(await answers({ holdResponse: true })).toEqual(without)
    })
  })

  describe('Express, in the corners', () => {
    test.concurrent('B52: a response that closed before the middleware saw it is flushed', () =>
      serve('express', {}, async (program) => {
        const sent = request({ host: '127.0.0.1', port: await portOf(program), path: '/gone', agent: false })
        sent.end().on('error', () => {})
        await program.said('slow')
        sent.destroy()
        await vi.waitFor(() => expect(batches(program)).toEqual([['GET']]), PATIENCE)
      }))

    test.concurrent('holdResponse: to whoever ended it, the response has ended', () =>
      serve('express', { holdResponse: true }, async (program) => {
        const port = await portOf(program)
        expect(await get(port, '/after')).toMatchObject({ status: 200, body: 'sent' })
        expect(program.all('after')).toEqual(['after true true'])
      }))

    test.concurrent('holdResponse: what cannot be sent throws where it was sent', () =>
      serve('express', { holdResponse: true }, async (program) => {
        expect((await get(await portOf(program), '/wrong')).body).toBe('ERR_INVALID_ARG_TYPE')
      }))
  })

  describe('Hono elsewhere', () => {
    let program: string
    beforeAll(async () => {
      program = await bundleProgram('http/hono-elsewhere.ts', cache)
    })
    const answer = (path: string, kind: string) =>
      run(
        program,
        (url) => [path, url, kind],
        async (running) => {
          expect((await running.ended()).end).toBe(0)
          return running.lines
        },
      )

    test.concurrent('where there is waitUntil, the flush is within it, and has the spans of those around', async () => {
      expect(await answer('/hello', 'waitUntil')).toEqual([
        'answered 200 kept with 0 exported',
        'body hello',
        'kept 1',
        'in the end 2 of 2',
      ])
    })

    test.concurrent('where there is waitUntil, a stream is flushed after its end', async () => {
      expect(await answer('/stream', 'waitUntil')).toEqual([
        'answered 200 null with 0 exported',
        'body onetwo',
        'kept 1',
        'in the end 2 of 2',
      ])
    })

    test.concurrent('where there is no waitUntil, the end of a stream waits for its spans', async () => {
      expect(await answer('/stream', 'none')).toEqual([
        'answered 200 null with 0 exported',
        'body onetwo',
        'kept 0',
        'in the end 2 of 2',
      ])
    })

    test.concurrent('where there is waitUntil, an error is answered as ever, and flushed', async () => {
      expect(await answer('/error', 'waitUntil')).toEqual([
        'answered 500 null with 0 exported',
        'body it was meant to fail',
        'kept 1',
        'in the end 2 of 2',
      ])
    })

    test.concurrent.each(['none', 'throws'])(
      'where waitUntil is of no use (%s), the response waits',
      async (kind) => {
        expect(await answer('/hello', kind)).toEqual([
          'answered 200 kept with 1 exported',
          'body hello',
          'kept 0',
          'in the end 1 of 2',
        ])
      },
    )
  })

  describe('the examples of the README', () => {
    test.each([...FRAMEWORKS, 'function', 'tracing'])('%s is printed there', (name) => {
      expect(isInReadme(`http/${name}.ts`)).toBe(true)
    })

    test.concurrent.each(FRAMEWORKS)('%s', async (framework) => {
      const file = await bundleProgram(`../examples/http/${framework}.ts`, cache)
      const port = String(await freePort())
      await run(
        file,
        () => [],
        async (program) => {
          const answer = await untilItListens(() => get(port, '/hello'))
          expect(answer.body).toBe('hello')
          await vi.waitFor(() => expect(program.names).toEqual(['GET']), PATIENCE)
        },
        { PORT: port },
      )
    })

    /** The framework loads a function by its folder. */
    async function serveFunction(check: (program: Program, port: string) => Promise<void>): Promise<void> {
      const folder = join(cache, `function-${process.pid}`)
      mkdirSync(folder, { recursive: true })
      const bundle = await bundleProgram('../examples/http/function.ts', folder)
      writeFileSync(
        join(folder, 'package.json'),
        JSON.stringify({ type: 'module', main: bundle.slice(folder.length + 1) }),
      )
      const main = join(fixture, 'node_modules/@google-cloud/functions-framework/build/src/main.js')
      const port = String(await freePort())
      const args = ['--target=hello', `--source=${folder}`, `--port=${port}`]
      await run(
        main,
        () => args,
        (program) => check(program, port),
      )
    }

    test('on Cloud Run with the functions-framework: the server span comes, at the latest with SIGTERM, which still exits with 0', () =>
      serveFunction(async (program, port) => {
        // The flush before the response has nothing to send, so the one after it is the first request.
        let answer = () => {}
        program.collector.script(
          answersAfter(
            new Promise<void>((resolve) => {
              answer = resolve
            }),
            200,
          ),
        )
        expect((await untilItListens(() => get(port, '/'))).body).toBe('hello')
        await program.collector.whenRequests(1)
        expect((await get(port, '/')).body).toBe('hello')
        program.child.kill('SIGTERM')
        await elapsed(200)
        answer()
        expect(await program.ended()).toEqual({ end: 0, names: ['GET', 'GET'] })
      }))

    async function untilItListens<Result>(work: () => Promise<Result>): Promise<Result> {
      for (;;) {
        try {
          return await work()
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
          await elapsed(50)
        }
      }
    }
  })
})
