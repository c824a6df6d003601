/** Collectors with the configurations of the guide, whose addresses and files are replaced by the test's own. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { type Program, startProgram } from '../interop/program.ts'
import { cpuMicros } from './cpu.ts'
import { kafkaCollector } from './kafka/parts.ts'

/** A span as the file exporter writes it: OTLP JSON. */
interface WrittenSpan {
  readonly traceId: string
  readonly spanId: string
  readonly name: string
}

interface WrittenRequest {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly WrittenSpan[] }[]
  }[]
}

/** A Collector that runs, or did. It ends with the test. */
export class Collector {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tailrace-collector-'))
  readonly #text: string
  #program: Program | undefined
  #starts = 0

  private constructor(text: string) {
    this.#text = text
  }

  /**
   * @param file - Of the folder of this file.
   * @param replacements - What stands in the file, by what the test wants instead.
   */
  static async start(file: string, replacements: Readonly<Record<string, string>>): Promise<Collector> {
    let text = readFileSync(fileURLToPath(new URL(file, import.meta.url)), 'utf8')
    for (const [original, replacement] of Object.entries(replacements)) {
      if (!text.includes(original)) throw new Error(`${file} has no ${original}`)
      text = text.replaceAll(original, replacement)
    }
    const collector = new Collector(text)
    onTestFinished(async () => {
      await collector.stop()
      rmSync(collector.#folder, { recursive: true })
    })
    await collector.start()
    return collector
  }

  /** Starts it, perhaps again. */
  async start(): Promise<void> {
    // Its own metrics would want a port.
    const quiet = 'service:\n  telemetry:\n    metrics:\n      level: none\n'
    const config = join(this.#folder, 'config.yaml')
    writeFileSync(
      config,
      this.#text
        .replace('path: traces.jsonl', `path: ${this.#output(this.#starts++)}`)
        .replace('service:\n', quiet),
    )
    this.#program = await startProgram(kafkaCollector.binary, ['--config', config], 'Everything is ready')
  }

  /** Ends it in order: it sends and writes what it has taken. */
  async stop(): Promise<void> {
    await this.#program?.stop()
    this.#program = undefined
  }

  /** CPU time that it has taken so far. */
  get cpuMicros(): number {
    return cpuMicros(this.#program!.pid)
  }

  /** What it has written since it was made. Complete once it has stopped. */
  written(): WrittenSpan[] {
    const files = Array.from({ length: this.#starts }, (_, i) => this.#output(i)).filter((file) =>
      existsSync(file),
    )
    return files.flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        // The last line may not be whole yet.
        .slice(0, -1)
        .flatMap((line) => (JSON.parse(line) as WrittenRequest).resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    )
  }

  #output(start: number): string {
    return join(this.#folder, `traces-${start}.jsonl`)
  }
}
