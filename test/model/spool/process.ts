/** A simulated process with a processor and a spool: what it is, and what its backend is asked. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { ProtobufEncoder } from '../../../src/otlp/protobuf.ts'
import { BatchSpanProcessor } from '../../../src/processor.ts'
import { FLUSH_SYNC } from '../../../src/spill.ts'
import { type SpoolExporter, spool } from '../../../src/spool.ts'
import {
  type Attempt,
  type EncodedBatch,
  type EncodingExporter,
  type Outcome,
  pipelineExporter,
} from '../../../src/types.ts'
import { modelSpan } from '../collector.ts'
import type { DiskUser } from './disk.ts'
import { processorOptions, type SpoolSettings } from './settings.ts'

/** Whose code is running. */
export const running = new AsyncLocalStorage<SpoolProcess>()

/** Sends for a process. */
export type Send = (process: SpoolProcess, batch: EncodedBatch, attempt: Attempt) => Promise<Outcome>

export class SpoolProcess implements DiskUser {
  readonly pid: number
  isAlive = true
  callsToLive = Infinity
  readonly processor: BatchSpanProcessor
  readonly exporter: SpoolExporter
  /** When it said that the spool cannot be written to. */
  readonly warnedAt: number[] = []
  readonly startedAt: number
  lastReplayAt = -Infinity
  /** Who asked and still waits: for him fresh spans are not waited for. */
  replayCalls = 0
  freshInFlight = 0
  /** The backend has asked for patience until then. */
  patienceUntil = 0
  isShutDown = false
  shutdownCalls = 0
  spanCount = 0

  constructor(pid: number, now: number, settings: SpoolSettings, send: Send) {
    this.pid = pid
    this.startedAt = now
    const inner: EncodingExporter = {
      export() {},
      shutdown: async () => {},
      [pipelineExporter]: () => ({
        description: { type: 'model' },
        encoding: 'protobuf',
        maxRequestBytes: 2 ** 20,
        timeoutMillis: 5000,
        createEncoder: () => new ProtobufEncoder(),
        send: (batch, attempt) => send(this, batch, attempt),
        shutdown: async () => {},
      }),
    }
    const { maxBytes, maxAgeMillis, maxReplaysPerSecond } = settings
    this.exporter = running.run(this, () =>
      spool(inner, { directory: '/spool', maxBytes, maxAgeMillis, maxReplaysPerSecond }),
    )
    this.processor = running.run(
      this,
      () => new BatchSpanProcessor(this.exporter, processorOptions(settings)),
    )
  }

  endSpans(count: number, size: number, isRoot: boolean): void {
    for (let i = 0; i < count; i++) {
      const id = this.spanCount++
      const span = modelSpan(id, size, { isRoot, isError: id % 7 === 3, trace: id >> 2 })
      running.run(this, () => this.processor.onEnd({ ...span, name: `${this.pid}-${id}` }))
    }
  }

  flush(timeoutMillis: number): Promise<unknown> {
    return running.run(this, () => this.processor.flush({ timeoutMillis }))
  }

  /** As `flushOnExit` does where there is no network. */
  flushSync(): void {
    running.run(this, () => this.processor[FLUSH_SYNC](1000))
  }

  async shutdown(timeoutMillis: number): Promise<void> {
    this.isShutDown = true
    this.shutdownCalls++
    await running.run(this, () => this.processor.shutdown({ timeoutMillis }))
    this.shutdownCalls--
  }

  async replay(timeoutMillis: number): Promise<void> {
    this.replayCalls++
    await running.run(this, () => this.exporter.replay({ timeoutMillis }))
    this.replayCalls--
  }
}
