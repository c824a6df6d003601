/** The collector of the model test: an exporter of ours, or a stock one, that answers as it is told. */
import {
  type EncodingExporter,
  ExportError,
  type ExportResult,
  FLAG_ERROR,
  FLAG_LOCAL_ROOT,
  type Outcome,
  pipelineExporter,
  type ReadableSpan,
  type RecordSink,
  type RecordTable,
  type SpanEncoder,
  type SpanExporter,
} from '../../src/types.ts'
import type { Answer } from './expected-verdicts.ts'
import type { Manner, Settings } from './settings.ts'

/** What a collector can do with an export. */
export type OutcomeKind = EncodingOutcome | StockOutcome

/** Of our own exporters. `throws` and `rejects` are against their contract, and contained all the same. */
export const ENCODING_OUTCOMES = [
  'delivered',
  'partly rejected',
  'retryable',
  'retry-after',
  'stale socket',
  'too large',
  'final',
  'rejects',
  'throws',
] as const
/** Of anybody's. */
export const STOCK_OUTCOMES = ['success', 'failed', 'rejects', 'throws', 'called back twice'] as const

type EncodingOutcome = (typeof ENCODING_OUTCOMES)[number]
type StockOutcome = (typeof STOCK_OUTCOMES)[number]

/** An outcome with its details. */
export interface Reply {
  readonly kind: OutcomeKind
  readonly rejected: number
  readonly retryAfterMillis: number
}

/** What the reply means, to the model. */
export function meaningOf({ kind, rejected, retryAfterMillis }: Reply): Answer {
  switch (kind) {
    case 'delivered':
    case 'success':
    case 'called back twice':
      return { kind: 'delivered', rejected: 0 }
    case 'partly rejected':
      return { kind: 'delivered', rejected }
    case 'retryable':
      return { kind: 'retryable' }
    case 'retry-after':
      return { kind: 'retryable', retryAfterMillis }
    case 'stale socket':
      return { kind: 'retryable', staleSocket: true }
    case 'too large':
      return { kind: 'too_large' }
    default:
      return { kind: 'final' }
  }
}

/** One export that has reached the collector. */
export interface Request {
  readonly ids: readonly number[]
  /** Absent for stock exporters, who are not told. */
  readonly signal: AbortSignal | undefined
  answer(reply: Reply): void
}

/** Where the exporter reports to. */
export interface CollectorListener {
  /** Returns the reply that is thrown from within, if so. */
  received(request: Request, timeoutMillis: number | undefined): Reply | undefined
  flushed(): void
  shutDown(): void
}

/** Spans that cannot be encoded, and look like any other. */
const poison = new WeakSet<ReadableSpan>()

/** The span of the model test: its name is its number, its only attribute says how long its record is. */
export function modelSpan(
  id: number,
  size: number,
  parts: { isRoot?: boolean; isPoison?: boolean; isError?: boolean; spanId?: string; trace?: number },
) {
  const traceId = 'a'.repeat(24) + (parts.trace ?? 0).toString(16).padStart(8, '0')
  const spanId = parts.spanId ?? id.toString(16).padStart(16, '0')
  const spanContext = { traceId, spanId, traceFlags: 1 }
  const span: ReadableSpan = {
    name: String(id).padStart(8, '0'),
    kind: 0,
    spanContext: () => spanContext,
    parentSpanContext: parts.isRoot ? undefined : { traceId, spanId: 'b'.repeat(16), traceFlags: 1 },
    startTime: [0, 0],
    endTime: [0, 0],
    duration: [0, 0],
    ended: true,
    status: { code: parts.isError ? 2 : 0 },
    attributes: { pad: 'x'.repeat(size) },
    links: [],
    events: [],
    resource: { attributes: {} },
    instrumentationScope: { name: 'model' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }
  if (parts.isPoison) poison.add(span)
  return span
}

/** A record is the span's number, its length, and as many more bytes as it was told to have. */
class ModelEncoder implements SpanEncoder {
  readonly groupCount = 1

  encode(span: ReadableSpan, sink: RecordSink): void {
    if (poison.has(span)) throw new Error('a getter threw')
    const length = (span.attributes.pad as string).length
    const record = new Uint8Array(length)
    const view = new DataView(record.buffer)
    view.setUint32(0, Number(span.name))
    view.setUint32(4, length)
    const flags =
      (span.parentSpanContext === undefined ? FLAG_LOCAL_ROOT : 0) | (span.status.code === 2 ? FLAG_ERROR : 0)
    sink.append(record, 0, length, 0, flags, Number.parseInt(span.spanContext().traceId.slice(-8), 16))
  }

  frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
    const body = allocate(records.lengths.reduce((sum, length) => sum + length, 0))
    let at = 0
    for (let i = 0; i < records.count; i++) {
      const from = records.offsets[i]
      body.set(records.buffers[i].subarray(from, from + records.lengths[i]), at)
      records.offsets[i] = at
      at += records.lengths[i]
    }
    return body.subarray(0, at)
  }

  whenResourcesSettle(): undefined {
    return undefined
  }

  scopeName(): string {
    return 'model'
  }

  retainGroups(): void {}
}

function idsIn(body: Uint8Array): number[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const ids: number[] = []
  for (let at = 0; at < body.byteLength; at += view.getUint32(at + 4)) ids.push(view.getUint32(at))
  return ids
}

/** The exporter that stands for the collector. */
export function collectorExporter(settings: Settings, listener: CollectorListener): SpanExporter {
  const own = {
    ...(settings.forceFlush !== 'absent' && {
      forceFlush: () => {
        listener.flushed()
        return behave(settings.forceFlush as Manner)
      },
    }),
    shutdown: () => {
      listener.shutDown()
      return behave(settings.shutdown)
    },
  }
  if (settings.exporter === 'stock')
    return { ...own, export: (spans, done) => exportSpans(spans, done, listener) }
  const exporter: EncodingExporter = {
    ...own,
    export: () => {},
    [pipelineExporter]: () => ({
      ...own,
      description: { type: 'model' },
      maxRequestBytes: 64 * 1024 * 1024,
      attemptTimeoutMillis: settings.attemptTimeoutMillis,
      timeoutMillis: settings.batchTimeoutMillis,
      createEncoder: () => new ModelEncoder(),
      send: ({ body }, { signal, timeoutMillis }) => send(idsIn(body), signal, timeoutMillis, listener),
    }),
  }
  return exporter
}

function send(
  ids: number[],
  signal: AbortSignal,
  timeoutMillis: number,
  listener: CollectorListener,
): Promise<Outcome> {
  let settle: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void }
  const outcome = new Promise<Outcome>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const answer = (reply: Reply) => {
    if (reply.kind === 'rejects') settle.reject(new Error('the exporter broke its promise'))
    else settle.resolve(outcomeOf(reply))
  }
  const thrown = listener.received({ ids, signal, answer }, timeoutMillis)
  if (thrown) throw new Error('the exporter broke')
  return outcome
}

function exportSpans(
  spans: ReadableSpan[],
  callBack: (result: ExportResult) => void,
  listener: CollectorListener,
): Promise<void> | undefined {
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<void>((_, rejectPromise) => {
    reject = rejectPromise
  })
  const answer = ({ kind }: Reply) => {
    if (kind === 'rejects') reject(new Error('an async export broke'))
    else callBack({ code: kind === 'failed' ? 1 : 0 })
    if (kind === 'called back twice') callBack({ code: 1, error: new Error('once more') })
  }
  const ids = spans.map((span) => Number(span.name))
  const thrown = listener.received({ ids, signal: undefined, answer }, undefined)
  if (thrown) throw new Error('the exporter broke')
  return promise
}

function outcomeOf(reply: Reply): Outcome {
  const answer = meaningOf(reply)
  if (answer.kind === 'delivered') return { kind: 'delivered', rejected: answer.rejected }
  if (answer.kind === 'final')
    return { kind: 'final', error: new ExportError('http_status', '400', { status: 400 }) }
  if (answer.kind === 'too_large') return { kind: 'too_large', error: new ExportError('too_large', '413') }
  return { ...answer, error: new ExportError('network', 'no luck') }
}

function behave(manner: Manner): Promise<void> {
  if (manner === 'throws') throw new Error('the exporter broke')
  if (manner === 'rejects') return Promise.reject(new Error('the exporter broke its promise'))
  return manner === 'hangs' ? new Promise(() => {}) : Promise.resolve()
}
