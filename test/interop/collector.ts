/** The OpenTelemetry Collector, with a configuration of the test's own. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort } from '../helpers/free-port.ts'
import { decodeJson, type OtlpRequest } from '../helpers/otlp-schema.ts'
import { type Program, startProgram } from './program.ts'
import { collectorRecipe } from './recipes.ts'

/** What a test may want otherwise, in the collector's own terms. */
export interface CollectorConfig {
  /** Of the receiver's HTTP server. */
  readonly http?: Record<string, unknown>
  readonly processors?: Record<string, unknown>
  /** Default: `file`, which writes what it takes as OTLP JSON. */
  readonly exporters?: Record<string, unknown>
}

/** A collector that listens, or did. It ends with the test. */
export class Collector {
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'tailrace-collector-'))
  #program: Program | undefined

  private constructor(port: number) {
    this.port = port
  }

  static async start(config: CollectorConfig = {}): Promise<Collector> {
    const collector = new Collector(await freePort())
    onTestFinished(async () => {
      await collector.stop()
      rmSync(collector.#folder, { recursive: true })
    })
    await collector.start(config)
    return collector
  }

  /** Where it takes traces. */
  get url(): string {
    return `http://127.0.0.1:${this.port}/v1/traces`
  }

  get log(): string {
    return this.#program?.log() ?? ''
  }

  /** Starts it again, on the same port, to write on where it left off. */
  async start({
    http,
    processors = {},
    exporters = this.#fileExporter(),
  }: CollectorConfig = {}): Promise<void> {
    const config = {
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${this.port}`, ...http } } } },
      processors,
      exporters: { ...exporters, debug: { verbosity: 'basic' } },
      service: {
        // Its own metrics would want a port, and the debug exporter's lines are counted.
        telemetry: { metrics: { level: 'none' }, logs: { sampling: { enabled: false } } },
        pipelines: {
          traces: {
            receivers: ['otlp'],
            processors: Object.keys(processors),
            exporters: [...Object.keys(exporters), 'debug'],
          },
        },
      },
    }
    const file = join(this.#folder, 'config.yaml')
    writeFileSync(file, JSON.stringify(config))
    this.#program = await startProgram(collectorRecipe.binary, ['--config', file], 'Everything is ready')
  }

  /** Ends it in order: it answers what it has begun, and writes what it has taken. */
  async stop(): Promise<number | NodeJS.Signals | undefined> {
    return this.#program?.stop()
  }

  /** What it has written. Complete once it has stopped. */
  written(): OtlpRequest[] {
    if (!existsSync(this.#output)) return []
    const lines = readFileSync(this.#output, 'utf8').split('\n').filter(Boolean)
    return lines.map((line) => decodeJson(new TextEncoder().encode(line)))
  }

  get #output(): string {
    return join(this.#folder, 'traces.jsonl')
  }

  #fileExporter(): Record<string, unknown> {
    return { file: { path: this.#output, append: true } }
  }
}
