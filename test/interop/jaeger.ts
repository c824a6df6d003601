/** Jaeger, all in one, with its traces in memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort } from '../helpers/free-port.ts'
import { type OtlpRequest, readJson } from '../helpers/otlp-schema.ts'
import { type Program, startProgram } from './program.ts'
import { jaegerRecipe } from './recipes.ts'

/** A Jaeger that listens. It ends with the test. */
export class Jaeger {
  /** Where it takes traces. */
  readonly url: string
  readonly #queryUrl: string

  private constructor(port: number, queryPort: number) {
    this.url = `http://127.0.0.1:${port}/v1/traces`
    this.#queryUrl = `http://127.0.0.1:${queryPort}/api/v3`
  }

  static async start(): Promise<Jaeger> {
    const [port, http, grpc] = await Promise.all([freePort(), freePort(), freePort()])
    const config = {
      extensions: {
        jaeger_storage: { backends: { traces: { memory: { max_traces: 100_000 } } } },
        jaeger_query: {
          storage: { traces: 'traces' },
          http: { endpoint: `127.0.0.1:${http}` },
          grpc: { endpoint: `127.0.0.1:${grpc}` },
        },
      },
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      exporters: { jaeger_storage_exporter: { trace_storage: 'traces' } },
      service: {
        extensions: ['jaeger_storage', 'jaeger_query'],
        telemetry: { metrics: { level: 'none' } },
        pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      },
    }
    const folder = mkdtempSync(join(tmpdir(), 'tailrace-jaeger-'))
    const file = join(folder, 'config.yaml')
    writeFileSync(file, JSON.stringify(config))
    let program: Program | undefined
    onTestFinished(async () => {
      await program?.stop()
      rmSync(folder, { recursive: true })
    })
    program = await startProgram(jaegerRecipe.binary, ['--config', file], 'Everything is ready')
    return new Jaeger(port, http)
  }

  /** The trace as it was taken, without what Jaeger does to traces for people. */
  async trace(traceId: string): Promise<OtlpRequest> {
    const { result } = (await this.#query(`traces/${traceId}?raw_traces=true`)) as { result: unknown }
    return readJson(result)
  }

  /** The names of the services that it knows. */
  async services(): Promise<string[]> {
    return ((await this.#query('services')) as { services: string[] }).services
  }

  async #query(path: string): Promise<unknown> {
    const response = await fetch(`${this.#queryUrl}/${path}`)
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
}
