/**
 * Exporters named for what they do. Each comes in two kinds that behave alike: a stock `SpanExporter`, which is given
 * span objects and calls back, and an encoded one, which is given request bodies and answers with an `Outcome`.
 */
import {
  type Attempt,
  type EncodedBatch,
  type EncodingExporter,
  ExportError,
  type Outcome,
  type PipelineExporter,
  pipelineExporter,
  type SpanExporter,
} from '../../src/types.ts'
import { NameEncoder, namesIn } from './name-encoder.ts'

/** What the processor gives the exporter: objects, or bodies. */
export type ExporterKind = 'stock' | 'encoded'

/** For `describe.each`. */
export const EXPORTER_KINDS: [string, ExporterKind][] = [
  ['a stock exporter', 'stock'],
  ['an encoded exporter', 'encoded'],
]

/** What an exporter answers: that it has the batch, that it never will, or (encoded ones only) anything. */
export type Answer = 'delivered' | 'failed' | Outcome

/** A batch as an exporter received it. */
interface ReceivedBatch {
  /** The names of its spans, in order. */
  readonly names: string[]
  readonly attempt: Attempt | undefined
  /** Answers a `gatedExporter`'s batch; does nothing elsewhere. */
  release(answer?: Answer): void
}

/** An exporter that remembers what it was asked. */
export interface FakeExporter extends SpanExporter {
  readonly batches: ReceivedBatch[]
  /** The names of all spans that it was given, in order. */
  readonly names: string[]
  /** Exports that have begun and not been answered. */
  readonly running: number
  /** The most that ever ran at once. */
  readonly mostRunning: number
  readonly flushes: number
  readonly shutdowns: number
  /** Settles when that many batches have come. */
  whenBatches(count: number): Promise<void>
}

/** What a fake can be made to do besides exporting. */
export interface FakeOptions {
  /** Gives the exporter a `forceFlush` of its own. */
  readonly forceFlush?: () => Promise<void>
  readonly shutdown?: () => Promise<void>
  readonly timeoutMillis?: number
  readonly attemptTimeoutMillis?: number
  /** Settles the resources of an encoded exporter. */
  readonly whenResourcesSettle?: () => Promise<void> | undefined
}

type Respond = (batch: ReceivedBatch, index: number) => Answer | Promise<Answer>

/** Answers whatever `respond` says. */
export function fakeExporter(kind: ExporterKind, respond: Respond, options: FakeOptions = {}): FakeExporter {
  const log = new Log(respond, options)
  return kind === 'stock' ? new FakeStockExporter(log, options) : new FakeEncodedExporter(log, options)
}

/** Takes every batch at once. */
export function deliveringExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(kind, () => 'delivered', options)
}

/** Holds each batch until it is released. */
export function gatedExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(
    kind,
    (batch) =>
      new Promise((resolve) => {
        batch.release = (answer = 'delivered') => resolve(answer)
      }),
    options,
  )
}

/** Never answers, nor heeds an abort. */
export function hangingExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(kind, () => new Promise(() => {}), options)
}

/** Refuses every batch for good. */
export function failingExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(kind, () => 'failed', options)
}

/** Throws synchronously. */
export function throwingExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(
    kind,
    () => {
      throw new Error('thrown by the exporter')
    },
    options,
  )
}

/** Returns a promise that rejects; a stock one never calls back. */
export function rejectingExporter(kind: ExporterKind, options?: FakeOptions): FakeExporter {
  return fakeExporter(kind, () => Promise.reject(new Error('rejected by the exporter')), options)
}

/** Answers the attempts in turn as the script says, and delivers when it is at its end. Encoded. */
export function scriptedExporter(script: Answer[], options?: FakeOptions): FakeExporter {
  const answers = [...script]
  return fakeExporter('encoded', () => answers.shift() ?? 'delivered', options)
}

/** Calls back twice, the second time with the opposite. Stock. */
export function twiceCallingExporter(): FakeExporter {
  const inner = deliveringExporter('stock')
  const { export: exportOnce } = inner
  inner.export = (spans, resultCallback) => {
    exportOnce.call(inner, spans, (result) => {
      resultCallback(result)
      resultCallback({ code: 1, error: new Error('second call') })
    })
  }
  return inner
}

/** Calls back synchronously, from within `export`. Stock. */
export function synchronousExporter(): SpanExporter & { readonly names: string[] } {
  const names: string[] = []
  return {
    names,
    export(spans, resultCallback) {
      names.push(...spans.map((span) => span.name))
      resultCallback({ code: 0 })
    },
    async shutdown() {},
  }
}

/** Worth another attempt. */
export function retryable(retryAfterMillis?: number): Outcome {
  const error = new ExportError('http_status', 'the backend answered 503', { status: 503 })
  return retryAfterMillis === undefined
    ? { kind: 'retryable', error }
    : { kind: 'retryable', error, retryAfterMillis }
}

/** Worth another attempt in smaller pieces only. */
export function tooLarge(): Outcome {
  return { kind: 'too_large', error: new ExportError('too_large', 'the backend answered 413') }
}

class Log {
  readonly batches: ReceivedBatch[] = []
  running = 0
  mostRunning = 0
  flushes = 0
  shutdowns = 0
  readonly options: FakeOptions
  readonly #respond: Respond
  readonly #waiting = new Set<() => void>()

  constructor(respond: Respond, options: FakeOptions) {
    this.#respond = respond
    this.options = options
  }

  /** Not async: a fake that throws throws here. */
  receive(names: string[], attempt?: Attempt): Promise<Answer> {
    const batch: ReceivedBatch = { names, attempt, release() {} }
    const index = this.batches.push(batch) - 1
    this.mostRunning = Math.max(this.mostRunning, ++this.running)
    for (const check of this.#waiting) check()
    let answer: Answer | Promise<Answer>
    try {
      answer = this.#respond(batch, index)
    } catch (error) {
      this.running--
      throw error
    }
    return Promise.resolve(answer).finally(() => {
      this.running--
    })
  }

  whenBatches(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (this.batches.length < count) return
        this.#waiting.delete(check)
        resolve()
      }
      this.#waiting.add(check)
      check()
    })
  }

  async flush(): Promise<void> {
    this.flushes++
    await this.options.forceFlush?.()
  }

  async shutdown(): Promise<void> {
    this.shutdowns++
    await this.options.shutdown?.()
  }
}

abstract class Fake {
  protected readonly log: Log
  readonly forceFlush?: () => Promise<void>

  constructor(log: Log, { forceFlush }: FakeOptions) {
    this.log = log
    if (forceFlush !== undefined) this.forceFlush = () => log.flush()
  }

  get batches(): ReceivedBatch[] {
    return this.log.batches
  }

  get names(): string[] {
    return this.log.batches.flatMap((batch) => batch.names)
  }

  get running(): number {
    return this.log.running
  }

  get mostRunning(): number {
    return this.log.mostRunning
  }

  get flushes(): number {
    return this.log.flushes
  }

  get shutdowns(): number {
    return this.log.shutdowns
  }

  whenBatches(count: number): Promise<void> {
    return this.log.whenBatches(count)
  }

  shutdown(): Promise<void> {
    return this.log.shutdown()
  }
}

class FakeStockExporter extends Fake implements FakeExporter {
  // Async, as many an `export` is: a rejection is the processor's to contain.
  export: SpanExporter['export'] = (spans, resultCallback) =>
    this.log.receive(spans.map((span) => span.name)).then((answer) => {
      if (answer === 'delivered') resultCallback({ code: 0 })
      else resultCallback({ code: 1, error: new Error('the backend said no') })
    })
}

class FakeEncodedExporter extends Fake implements FakeExporter, EncodingExporter {
  export(): void {
    throw new Error('An encoded exporter is never given objects')
  }

  [pipelineExporter](): PipelineExporter {
    const { log } = this
    const { timeoutMillis, attemptTimeoutMillis, whenResourcesSettle, forceFlush } = log.options
    return {
      description: { type: 'fake_exporter', attributes: {} },
      encoding: 'names',
      maxRequestBytes: Number.MAX_SAFE_INTEGER,
      timeoutMillis,
      attemptTimeoutMillis,
      createEncoder: () => new NameEncoder(whenResourcesSettle),
      send: ({ body }: EncodedBatch, attempt: Attempt) => log.receive(namesIn(body), attempt).then(outcomeOf),
      ...(forceFlush === undefined ? {} : { forceFlush: () => log.flush() }),
      shutdown: () => log.shutdown(),
    }
  }
}

function outcomeOf(answer: Answer): Outcome {
  if (answer === 'delivered') return { kind: 'delivered', rejected: 0 }
  if (answer !== 'failed') return answer
  return {
    kind: 'final',
    error: new ExportError('http_status', 'the backend answered 400', { status: 400 }),
  }
}
