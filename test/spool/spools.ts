/** Spools in directories of their own, in front of a collector on loopback. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import { type SpoolOptions, spool } from '../../src/spool.ts'
import { namesOf } from '../helpers/gates.ts'
import { type Collector, startCollector } from '../helpers/misbehaving-collector.ts'

/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-spool-'))
  // A processor that is shut down without waiting lets go of its file meanwhile.
  onTestFinished(() => vi.waitFor(() => rmSync(directory, { recursive: true, force: true })))
  return directory
}

/** A collector that is stopped after the test. */
export async function runningCollector(): Promise<Collector> {
  const collector = await startCollector()
  onTestFinished(() => collector.stop())
  return collector
}

/** A spool around an exporter for the collector. */
export function spoolFor(
  { url }: Pick<Collector, 'url'>,
  directory: string,
  options: Partial<SpoolOptions> & { timeoutMillis?: number; maxRequestBytes?: number } = {},
) {
  const { timeoutMillis, ...spoolOptions } = options
  return spool(new OTLPTraceExporter({ url, timeoutMillis }), { directory, ...spoolOptions })
}

/** The names of the files that wait, oldest first. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory).sort()
}

/** The names of the spans in the files that wait, in order. */
export function spansIn(directory: string): string[] {
  return filesIn(directory)
    .filter((name) => name.endsWith('.otlp.pb'))
    .flatMap((name) => namesOf(readFileSync(join(directory, name))))
}

/** The names of the spans that the collector has got, in order. */
export function spansAt(collector: Collector): string[] {
  return collector.requests.flatMap(({ body }) => namesOf(body))
}
