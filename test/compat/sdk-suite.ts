/** What must hold in a project with any line of the SDK: installed, type-checked, and run. */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { PipelineStats } from '../../src/types.ts'
import { answers, type Collector, startCollector } from '../helpers/misbehaving-collector.ts'
import { decodeJson, decodeProtobuf, type OtlpRequest, type OtlpSpan } from '../helpers/otlp-schema.ts'
import { INSTALL_LOG, nodeOf, projectFolder, root } from './consumers.ts'

/** One line of the SDK. */
export interface Line {
  /** Of the fixture. */
  readonly project: string
  /** The file in `sdk` that is its own. Default: as the fixture is called. */
  readonly sdk?: string
  readonly name: string
  /** Whose versions the table in README names. */
  readonly packages: readonly string[]
  /** The Node that the programs run on, where it is not the one of the tests. */
  readonly node?: number
  /** Without NodeSDK and the stock OTLP exporters, which want a newer API. */
  readonly isTracingOnly?: boolean
}

const COMPILERS = ['typescript-5', 'typescript-6', 'typescript-7']
const RESOLUTIONS = ['node16', 'nodenext', 'bundler']
const FLAVOURS = ['esm', 'cjs'] as const
/** In sdk: what needs more than an SDK for traces. */
const BEYOND_TRACING = ['node-sdk.ts', 'node-sdk-exporter.ts', 'stock-otlp-exporters.ts']
/** How the span of sdk/subpaths.ts gets to the backend. */
const WAYS = [
  'browser',
  'cloudflare',
  'express',
  'failover',
  'fan-out',
  'fastify',
  'hono',
  'koa',
  'lambda',
  'next',
  'next, each request',
  'node, at once',
  'node, before exit',
  'node, on exit',
  'spool',
  'vercel',
  'vercel, each request',
]

/** What sdk/subpaths.ts answers. */
interface Shown {
  /** What Kafka was given, in base64. */
  readonly messages: string[]
  readonly spooled: number[]
  readonly collected: number
  readonly isRegistered: boolean
}

/** What the scenarios with exporters of others answer. */
interface UnderOurs {
  readonly flushed: number[]
  readonly stats: PipelineStats[]
}

const sources = join(root, 'test/compat/sdk')

/** Reads what is installed under a path of `node_modules`. */
function versionOf(folder: string, name: string): string {
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}

function spansIn({ resourceSpans }: OtlpRequest): OtlpSpan[] {
  return resourceSpans.flatMap(({ scopeSpans }) => scopeSpans).flatMap(({ spans }) => spans)
}

/** Registers the tests. Their titles are what the table in README is made of. */
export function testWithSdk({ project, sdk = project, name, packages, node, isTracingOnly }: Line): void {
  const folder = projectFolder(project)
  const execPath = node === undefined ? process.execPath : nodeOf(node)
  let collector: Collector
  let compiled: string

  /** Type-checks the programs as ES modules and as CommonJS, and emits them if asked to. @returns The complaints. */
  async function compile(compiler: string, resolution: string, outDir?: string): Promise<string> {
    const file = join(folder, `tsconfig.${compiler}.${resolution}.json`)
    const isBundler = resolution === 'bundler'
    const compilerOptions = {
      target: 'ES2022',
      lib: ['ES2022'],
      module: isBundler ? 'esnext' : resolution,
      moduleResolution: resolution,
      types: ['node'],
      strict: true,
      skipLibCheck: false,
      rootDir: '.',
      ...(outDir === undefined ? { noEmit: true } : { outDir }),
    }
    // Bundlers take `import` for `import`, whatever package.json says.
    writeFileSync(file, JSON.stringify({ compilerOptions, include: isBundler ? ['esm'] : FLAVOURS }))
    const tsc = join(projectFolder('compilers'), 'node_modules', compiler, 'bin/tsc')
    const child = spawn(process.execPath, [tsc, '-p', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [[code], output] = await Promise.all([once(child, 'close'), text(child.stdout)])
    return code === 0 ? '' : `${code}: ${output}`
  }

  /** Runs a scenario, a module of sdk. */
  async function run<Result>(flavour: string, scenario: string): Promise<{ result: Result; stdout: string }> {
    const child = fork(
      join(folder, 'out', flavour, 'program.js'),
      [scenario, new URL(collector.url).origin],
      {
        cwd: folder,
        execPath,
        execArgv: [],
        // Of a NodeSDK only the traces are of interest.
        env: { PATH: process.env.PATH, OTEL_LOGS_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' },
        silent: true,
        timeout: 25_000,
        killSignal: 'SIGKILL',
      },
    )
    let result: Result | undefined
    child.on('message', (message: { result?: Result }) => {
      result = message.result
    })
    const [[code, signal], stdout, stderr] = await Promise.all([
      once(child, 'close'),
      text(child.stdout!),
      text(child.stderr!),
    ])
    expect({ end: code ?? signal, stderr }).toEqual({ end: 0, stderr: '' })
    return { result: result as Result, stdout }
  }

  /** The spans that came by one way: what `x-via` says, or nothing. */
  function spans(via?: string): OtlpSpan[] {
    return collector.requests
      .filter(({ path, headers }) => path === '/v1/traces' && headers['x-via'] === via)
      .flatMap(({ headers, body }) =>
        headers['content-type'] === 'application/json' ? decodeJson(body) : decodeProtobuf(body),
      )
      .flatMap(spansIn)
  }

  /** Each exporter had the first two spans after the provider's flush, and all three in the end. */
  function expectAllExported({ flushed, stats }: UnderOurs, exporters: number): void {
    expect(flushed).toEqual(Array(exporters).fill(2))
    expect(stats).toMatchObject(Array(exporters).fill({ ended: 3, exported: 3, pending: 0 }))
  }

  const names = (via?: string) => spans(via).map((span) => span.name)

  /** A request as the HTTP instrumentation sees it: from both sides, within `work`; and the exports are none. */
  function expectOneExchange(): void {
    const work = spans().find((span) => span.name === 'work')!
    const client = spans().find(({ kind }) => kind === 3)!
    const server = spans().find(({ kind }) => kind === 2)!
    expect(client.parentSpanId).toBe(work.spanId)
    expect(server.parentSpanId).toBe(client.spanId)
    expect(spans().filter(({ kind }) => kind !== 1)).toHaveLength(2)
  }

  const versions = packages.map((each) => `${each} ${versionOf(folder, `@opentelemetry/${each}`)}`)
  const compilers = COMPILERS.map((each) => versionOf(projectFolder('compilers'), each))

  describe(`SDK ${name}: ${versions.join(', ')}; TypeScript ${compilers.join(', ')}`, {
    timeout: 120_000,
  }, () => {
    beforeAll(async () => {
      collector = await startCollector()
      for (const place of [...FLAVOURS, 'out']) rmSync(join(folder, place), { recursive: true, force: true })
      for (const flavour of FLAVOURS) {
        mkdirSync(join(folder, flavour), { recursive: true })
        mkdirSync(join(folder, 'out', flavour), { recursive: true })
        for (const source of readdirSync(sources)) {
          const isLeftOut = isTracingOnly && BEYOND_TRACING.includes(source)
          if (isLeftOut || source.startsWith('sdk-')) continue
          cpSync(join(sources, source), join(folder, flavour, source))
        }
        cpSync(join(sources, `${sdk}.ts`), join(folder, flavour, 'sdk.ts'))
        const manifest = JSON.stringify({ type: flavour === 'esm' ? 'module' : 'commonjs' })
        for (const place of [flavour, join('out', flavour)])
          writeFileSync(join(folder, place, 'package.json'), manifest)
      }
      compiled = await compile('typescript-6', 'nodenext', 'out')
    }, 120_000)

    afterAll(() => collector?.stop())

    beforeEach(() => {
      ;(collector.requests as unknown[]).length = 0
      collector.otherwise(answers(200))
    })

    it('is installed by a plain `npm install`, without a word about peers or engines', () => {
      const log = readFileSync(join(folder, INSTALL_LOG), 'utf8')
      expect(log).toMatch(/^added \d+ packages/m)
      expect(log).not.toMatch(/ERESOLVE|EBADENGINE|peer|deprecated tailrace|overrid/i)
    })

    it('has nothing twice: the package brings nothing along, and each package of OpenTelemetry is there once', () => {
      const { packages } = JSON.parse(
        readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8'),
      ) as { packages: Record<string, { dependencies?: object; peerDependencies?: object }> }
      const paths = Object.keys(packages)
      const ofOpenTelemetry = paths.filter((path) => /(^|\/)node_modules\/@opentelemetry\/[^/]+$/.test(path))
      expect(ofOpenTelemetry).toContain('node_modules/@opentelemetry/api')
      expect(ofOpenTelemetry.length).toBeGreaterThan(8)
      expect(ofOpenTelemetry.filter((path) => !path.startsWith('node_modules/@opentelemetry/'))).toEqual([])
      expect(paths.filter((path) => path.includes('tailrace'))).toEqual(['node_modules/tailrace'])
      expect(packages['node_modules/tailrace']?.dependencies).toBeUndefined()
      expect(Object.keys(packages['node_modules/tailrace']!.peerDependencies!)).toEqual([
        '@opentelemetry/api',
      ])
    })

    describe.each(COMPILERS)('type-checks without skipLibCheck: %s', (compiler) => {
      it.each(RESOLUTIONS)(
        `${versionOf(projectFolder('compilers'), compiler)}, moduleResolution %s`,
        async (resolution) => {
          const isCompiled = compiler === 'typescript-6' && resolution === 'nodenext'
          expect(isCompiled ? compiled : await compile(compiler, resolution)).toBe('')
        },
      )
    })

    describe.each(FLAVOURS)('runs, as %s', (flavour) => {
      it('registered with a provider: spans, HTTP instrumentation, forceFlush and shutdown of the provider', async () => {
        const { result } = await run<{ flushed: PipelineStats; shutDown: PipelineStats }>(flavour, 'provider')

        expectOneExchange()
        expect(names().toSorted()).toEqual(['GET', 'GET', 'last', 'work'])
        expect(names().at(-1)).toBe('last')
        expect(result.flushed).toMatchObject({ ended: 3, exported: 3, pending: 0 })
        expect(result.shutDown).toMatchObject({ ended: 5, exported: 4, dropped: { already_shutdown: 1 } })
      })

      it('our exporters under the stock processors', async () => {
        const { result } = await run<{ lines: string[]; kept: string[] }>(flavour, 'stock-processors')

        for (const via of ['protobuf', 'json', 'gzip', 'simple']) expect(names(via)).toEqual(['a', 'b', 'c'])
        expect(result.kept).toEqual(['a', 'b'])
        const written = result.lines.map((line) => decodeJson(Buffer.from(line)))
        expect(
          written.flatMap(({ resourceSpans }) =>
            resourceSpans[0]!.scopeSpans[0]!.spans.map((span) => span.name),
          ),
        ).toEqual(['a', 'b', 'c'])
      })

      it('the stock exporters under our processor: Zipkin, console', async () => {
        collector.otherwise(answers(202))
        const { result, stdout } = await run<UnderOurs>(flavour, 'stock-exporters')

        const zipkin = collector.requests.filter(({ path }) => path === '/api/v2/spans')
        expect(
          zipkin.flatMap(({ body }) =>
            (JSON.parse(String(body)) as { name: string }[]).map((span) => span.name),
          ),
        ).toEqual(['a', 'b', 'c'])
        expect([...stdout.matchAll(/^ {2}name: '(\w)',$/gm)].map(([, each]) => each)).toEqual(['a', 'b', 'c'])
        expectAllExported(result, 2)
      })

      it('every entry of the package: what it is for works', async () => {
        const { result } = await run<Shown>(flavour, 'subpaths')

        const { messages, ...others } = result
        expect(others).toEqual({ spooled: [1, 1], collected: 1, isRegistered: false })
        expect(
          messages.flatMap((each) => spansIn(decodeProtobuf(Buffer.from(each, 'base64')))),
        ).toMatchObject([{ name: 'order' }])
        const arrived = collector.requests.map(({ headers }) => headers['x-via'] as string)
        expect(arrived.toSorted()).toEqual([...WAYS].sort())
        for (const way of WAYS) expect([way, names(way)]).toEqual([way, ['order']])
      })

      if (isTracingOnly) return

      it('the stock OTLP exporters under our processor: protobuf and JSON', async () => {
        const { result } = await run<UnderOurs>(flavour, 'stock-otlp-exporters')

        for (const via of ['protobuf', 'json']) expect(names(via)).toEqual(['a', 'b', 'c'])
        expectAllExported(result, 2)
      })

      it('as the processor of a NodeSDK, with its HTTP instrumentation', async () => {
        const { result } = await run<PipelineStats>(flavour, 'node-sdk')

        expectOneExchange()
        expect(result).toMatchObject({ ended: 3, exported: 3, pending: 0 })
        const [request] = collector.requests
        expect(decodeJson(request!.body).resourceSpans[0]!.resource.attributes).toContainEqual({
          key: 'service.name',
          value: { stringValue: 'shop' },
        })
      })

      it('as the exporter of a NodeSDK, under its own processor', async () => {
        await run(flavour, 'node-sdk-exporter')
        expect(names()).toEqual(['a', 'b'])
      })
    })
  })
}
