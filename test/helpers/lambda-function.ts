/** Functions as they are deployed to Lambda: a folder with the handler's code, and `tailrace` as its users have it. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { describe } from 'vitest'
import { type FunctionConfiguration, LambdaEnvironment } from './lambda-environment.ts'
import { type Collector, startCollector } from './misbehaving-collector.ts'
import { decodeProtobuf, type OtlpSpan } from './otlp-schema.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = join(root, 'test/runtimes/fixtures')

/** Where the fixtures have put what a function needs. */
export const paths = {
  openTelemetry: join(fixtures, 'lambda-ric-4/node_modules/@opentelemetry'),
  dist: join(root, 'dist'),
}

/** The runtime clients, each on a Node that Lambda runs it on. */
const clients = {
  4: (): string[] => [
    join(fixtures, 'node-24/node_modules/node/bin/node'),
    join(fixtures, 'lambda-ric-4/node_modules/aws-lambda-ric/index.mjs'),
  ],
  3: (handler: string): string[] => [
    process.execPath,
    join(fixtures, 'lambda-ric-3/node_modules/aws-lambda-ric/bin/index.mjs'),
    handler,
  ],
}

const TOOLS = 'cmake make g++ xz-utils autoconf automake libtool'
const isBuilt = [clients[3](''), clients[4]()].every(([, client = '']) => existsSync(client))

/** `describe`, for what needs the runtime clients: npm builds them, and passes over them if it cannot. CI has to. */
export function describeInLambda(name: string, define: () => void): void {
  const options = { timeout: 60_000 }
  if (isBuilt || process.env.CI) describe(name, options, define)
  else describe.skip(`${name} (aws-lambda-ric is not built: it needs ${TOOLS})`, options, define)
}

/** What to deploy, and how to run it. */
export interface Deployment extends Partial<FunctionConfiguration> {
  /** A TypeScript file, relative to `test`. */
  readonly source: string
  /** Another one, which the process is to import first. */
  readonly preload?: string
  /** CommonJS, with everything in one file, as many build their functions. Default: a module that imports packages. */
  readonly isBundle?: boolean
  /** Which runtime client, and so which Node. Default 4. */
  readonly client?: 3 | 4
  /** The name of the exported handler. Default `handler`. */
  readonly exported?: string
}

/** A function that runs, and the collector that its spans go to. */
export interface RunningFunction {
  readonly environment: LambdaEnvironment
  readonly collector: LambdaCollector
  readonly taskRoot: string
}

/** Deploys a function, starts an environment and a collector for it, and cleans up after `check`. */
export async function withFunction<Result>(
  { source, preload, isBundle = false, client = 4, exported = 'handler', ...configuration }: Deployment,
  check: (running: RunningFunction) => Promise<Result>,
): Promise<Result> {
  const taskRoot = await deploy(isBundle, { index: source, ...(preload && { preload }) })
  const collector = new LambdaCollector(await startCollector())
  const handler = `index.${exported}`
  const environment = new LambdaEnvironment({
    command: client === 4 ? clients[4]() : clients[3](handler),
    taskRoot,
    handler,
    ...configuration,
    env: {
      AWS_EXECUTION_ENV: client === 4 ? 'AWS_Lambda_nodejs24.x' : 'AWS_Lambda_nodejs20.x',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector.url,
      ...(preload && { NODE_OPTIONS: `--import=${taskRoot}/preload.mjs` }),
      ...configuration.env,
    },
  })
  try {
    await environment.start()
    return await check({ environment, collector, taskRoot })
  } finally {
    await environment.kill()
    await collector.stop()
    await rm(taskRoot, { recursive: true })
  }
}

/** Knows which spans of which invocation have come. */
export class LambdaCollector {
  readonly requests: Collector
  readonly #names = new Map<string, string[]>()
  #read = 0

  constructor(collector: Collector) {
    this.requests = collector
  }

  get url(): string {
    return this.requests.url
  }

  /** The names of an invocation's spans without the request id; `root` for one that carries it as an attribute. */
  spansOf(requestId: string): string[] {
    const { requests } = this.requests
    for (; this.#read < requests.length; this.#read++) {
      const { body } = requests[this.#read]!
      if (body.length === 0) break // Still coming.
      for (const { scopeSpans } of decodeProtobuf(body).resourceSpans) {
        for (const { spans } of scopeSpans) for (const span of spans) this.#note(span)
      }
    }
    return this.#names.get(requestId) ?? []
  }

  /** Closes what is open, as a collector does that grows tired of idle connections. */
  async closeConnections(): Promise<void> {
    await this.requests.stop()
    await this.requests.start()
  }

  stop(): Promise<void> {
    return this.requests.stop()
  }

  #note({ name, attributes }: OtlpSpan): void {
    const invocation = attributes.find(({ key }) => key === 'faas.invocation_id')?.value as
      | { stringValue: string }
      | undefined
    const [requestId = '', part = 'root'] =
      invocation === undefined ? name.split('/') : [invocation.stringValue]
    this.#names.set(requestId, [...(this.#names.get(requestId) ?? []), part])
  }
}

/** @returns The folder. */
async function deploy(isBundle: boolean, sources: Record<string, string>): Promise<string> {
  const taskRoot = await mkdtemp(join(tmpdir(), 'tailrace-function-'))
  if (!isBundle) {
    const modules = join(taskRoot, 'node_modules')
    await mkdir(modules)
    await symlink(root, join(modules, 'tailrace'), 'dir')
    await symlink(paths.openTelemetry, join(modules, '@opentelemetry'), 'dir')
  }
  await build({
    entryPoints: Object.entries(sources).map(([out, source]) => ({ in: join(root, 'test', source), out })),
    outdir: taskRoot,
    outExtension: { '.js': isBundle ? '.js' : '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: isBundle ? 'cjs' : 'esm',
    ...(isBundle ? { nodePaths: [join(paths.openTelemetry, '..')] } : { packages: 'external' }),
    // As users have it: what is built, and not the `paths` of tsconfig.json.
    tsconfigRaw: '{}',
    logLevel: 'error',
  })
  await writeFile(join(taskRoot, 'package.json'), '{}')
  return taskRoot
}
