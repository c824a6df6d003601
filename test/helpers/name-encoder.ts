import {
  FLAG_ERROR,
  FLAG_LOCAL_ROOT,
  type ReadableSpan,
  type RecordSink,
  type RecordTable,
  type SpanEncoder,
} from '../../src/types.ts'

const SEPARATOR = '\n'.charCodeAt(0)

/** The simplest encoder: a record is the span's name in UTF-8, a body is one name a line. */
export class NameEncoder implements SpanEncoder {
  readonly #whenResourcesSettle: () => Promise<void> | undefined
  readonly groupCount = 1

  constructor(whenResourcesSettle: () => Promise<void> | undefined = () => undefined) {
    this.#whenResourcesSettle = whenResourcesSettle
  }

  encode(span: ReadableSpan, sink: RecordSink): void {
    const record = new TextEncoder().encode(span.name)
    const traceHash = Number.parseInt(span.spanContext().traceId.slice(-8), 16)
    const isLocalRoot = span.parentSpanContext === undefined || span.parentSpanContext.isRemote === true
    const flags = (isLocalRoot ? FLAG_LOCAL_ROOT : 0) | (span.status.code === 2 ? FLAG_ERROR : 0)
    sink.append(record, 0, record.length, 0, flags, traceHash)
  }

  frame(records: RecordTable, allocate: (bytes: number) => Uint8Array): Uint8Array {
    let size = 0
    for (const length of records.lengths) size += length + 1
    const body = allocate(size)
    let at = 0
    for (let i = 0; i < records.count; i++) {
      const from = records.offsets[i]
      body.set(records.buffers[i].subarray(from, from + records.lengths[i]), at)
      records.offsets[i] = at
      at += records.lengths[i]
      body[at++] = SEPARATOR
    }
    return body.subarray(0, at)
  }

  whenResourcesSettle(): Promise<void> | undefined {
    return this.#whenResourcesSettle()
  }

  scopeName(): string {
    return 'test'
  }

  retainGroups(): void {}
}

/** The names in a body that a `NameEncoder` framed. */
export function namesIn(body: Uint8Array): string[] {
  return new TextDecoder().decode(body).split('\n').slice(0, -1)
}
