/**
 * One encoding for several destinations. Each has an encoder of its own to the eye; those of one format are faces of the
 * same one, and the second destination that is given a span gets the record that was made for the first.
 *
 *     span.end() ──► face of [0] ──► encoder ──► record ──► queue of [0]
 *               └──► face of [1] ──────────────────┘ └────► queue of [1]
 */
import type { ReadableSpan, RecordSink, RecordTable, SpanEncoder } from '../types.ts'

type Append = Parameters<RecordSink['append']>

/** The encoders of one `fanOut`. */
export class SharedEncoders {
  readonly #byFormat = new Map<string, SharedEncoder>()

  /** @param own - The destination's own. */
  faceFor(own: SpanEncoder): SpanEncoder {
    const { format } = own
    if (format === undefined) return own
    let shared = this.#byFormat.get(format)
    if (shared === undefined) {
      shared = new SharedEncoder(own)
      this.#byFormat.set(format, shared)
    }
    return shared.face()
  }

  /** A span is about to be given to all of them, one after the other. */
  begin(span: ReadableSpan): void {
    for (const shared of this.#byFormat.values()) shared.begin(span)
  }

  /** It has been. */
  end(): void {
    for (const shared of this.#byFormat.values()) shared.end()
  }
}

class SharedEncoder {
  readonly encoder: SpanEncoder
  /** What each face may still refer to. */
  readonly #groups: Set<number>[] = []
  #span: ReadableSpan | undefined
  /** The span's record, where it was made. Good for as long as nothing else is encoded. */
  #record: Append | undefined
  /** Spans that are being encoded just now: one has a group that nobody refers to yet. */
  #encoding = 0

  constructor(encoder: SpanEncoder) {
    this.encoder = encoder
  }

  begin(span: ReadableSpan): void {
    this.#span = span
    this.#record = undefined
  }

  end(): void {
    this.#span = this.#record = undefined
  }

  face(): SpanEncoder {
    const { encoder } = this
    const groups = new Set<number>()
    const place = this.#groups.push(groups) - 1
    return {
      encode: (span, sink) => this.#encode(span, sink, place),
      frame: (records: RecordTable, allocate) => {
        this.#record = undefined
        return encoder.frame(records, allocate)
      },
      whenResourcesSettle: () => encoder.whenResourcesSettle(),
      get groupCount() {
        return encoder.groupCount
      },
      scopeName: (group) => encoder.scopeName(group),
      retainGroups: (live) => this.#retain(place, live),
    }
  }

  #encode(span: ReadableSpan, sink: RecordSink, place: number): void {
    if (span === this.#span && this.#record !== undefined) {
      this.#append(sink, place, this.#record)
      return
    }
    this.#record = undefined
    this.#encoding++
    try {
      this.encoder.encode(span, {
        append: (...record) => {
          if (span === this.#span) this.#record = record
          this.#append(sink, place, record)
        },
      })
    } finally {
      this.#encoding--
    }
  }

  #append(sink: RecordSink, place: number, record: Append): void {
    this.#groups[place]?.add(record[3])
    sink.append(...record)
  }

  #retain(place: number, live: ReadonlySet<number>): void {
    if (this.#encoding > 0) return
    // It may belong to a group that is about to be forgotten.
    this.#record = undefined
    this.#groups[place] = new Set(live)
    const all = new Set<number>()
    for (const groups of this.#groups) for (const group of groups) all.add(group)
    this.encoder.retainGroups(all)
  }
}
