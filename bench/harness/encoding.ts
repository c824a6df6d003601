/**
 * What it costs to make requests of 512 spans out of spans that have ended: warm, or cycling through 4,096. CPU time,
 * so that it matters little what else the machine does.
 */
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { OTLPTraceExporter } from 'tailrace'
import type { RecordRoom, RecordSink, RecordTable, SpanEncoder } from '../../src/types.ts'
import type { SetName } from '../corpus/cardinality.ts'
import { spansOf } from '../corpus/spans.ts'
import { encodedSide } from './encoded-side.ts'
import { countJsonSpans, countSpans } from './otlp.ts'
import type { Bench, Line, StartTurns } from './question.ts'
import { turnsRatioLine } from './turns.ts'

export const BATCH_SPANS = 512
const SEGMENT_BYTES = 64 * 1024
const TURN_MICROS = 50_000
const TURNS = 40

export type Encoding = 'protobuf' | 'json'

class Segment implements RecordRoom {
  readonly bytes = new Uint8Array(SEGMENT_BYTES)
  readonly view = new DataView(this.bytes.buffer)
  free = 0
}

/** Takes records as the arena does: into segments that are used again, where they are written already, if they fit. */
class Records implements RecordSink, RecordTable {
  count = 0
  readonly buffers: Uint8Array[] = new Array(BATCH_SPANS)
  readonly offsets = new Int32Array(BATCH_SPANS)
  readonly lengths = new Int32Array(BATCH_SPANS)
  readonly groups = new Int32Array(BATCH_SPANS)
  readonly #segments = [new Segment()]
  #last = 0

  room(): RecordRoom {
    return this.#segments[this.#last]
  }

  append(source: Uint8Array, start: number, end: number, group: number): void {
    const length = end - start
    let segment = this.#segments[this.#last]
    if (segment.free + length > SEGMENT_BYTES) {
      segment = this.#segments[++this.#last] ??= new Segment()
      segment.free = 0
    }
    const { bytes, free } = segment
    if (source !== bytes || start !== free) bytes.set(source.subarray(start, end), free)
    this.buffers[this.count] = bytes
    this.offsets[this.count] = free
    this.lengths[this.count] = length
    this.groups[this.count++] = group
    segment.free = free + length
  }

  clear(): void {
    this.count = this.#last = 0
    this.#segments[0].free = 0
  }
}

/** Encodes as the processor does, and nothing else: up to `BATCH_SPANS` spans, and then a body of them. */
export class BareEncoder {
  readonly #encoder: SpanEncoder
  readonly #records = new Records()
  #memory = new Uint8Array()

  constructor(encoding: Encoding) {
    this.#encoder = encodedSide(new OTLPTraceExporter({ encoding })).createEncoder()
  }

  /** Spans that are in no body yet. */
  get count(): number {
    return this.#records.count
  }

  encode(span: ReadableSpan): void {
    this.#encoder.encode(span, this.#records)
  }

  /** The body goes into the memory of the one before, which has been sent. */
  frame(): Uint8Array {
    const body = this.#encoder.frame(this.#records, (bytes) => {
      if (this.#memory.length < bytes) this.#memory = new Uint8Array(bytes + (bytes >> 3))
      return this.#memory
    })
    this.#records.clear()
    return body
  }
}

export function ourSerializer(encoding: Encoding): (spans: ReadableSpan[]) => Uint8Array {
  const encoder = new BareEncoder(encoding)
  return (spans) => {
    for (const span of spans) encoder.encode(span)
    return encoder.frame()
  }
}

function stockSerializer(encoding: Encoding): (spans: ReadableSpan[]) => Uint8Array {
  const serializer = encoding === 'json' ? JsonTraceSerializer : ProtobufTraceSerializer
  return (spans) => serializer.serializeRequest(spans) as Uint8Array
}

/** What is left of a span if encoding it takes no time: every attribute is looked at, and the bytes are copied, once. */
export class ByteCopier {
  readonly #memory = new Uint8Array(2 ** 21)
  #attributes = 0

  look({ attributes }: ReadableSpan): void {
    for (const key in attributes) if (attributes[key] !== undefined) this.#attributes++
  }

  copy(body: Uint8Array): Uint8Array {
    if (this.#attributes === 0) throw new Error('the spans have no attributes')
    this.#memory.set(body)
    return this.#memory.subarray(0, body.length)
  }
}

function floorSerializer(encoding: Encoding): (spans: ReadableSpan[]) => Uint8Array {
  const serialize = ourSerializer(encoding)
  const bodies = new Map<ReadableSpan[], Uint8Array>()
  const copier = new ByteCopier()
  return (spans) => {
    const body = bodies.get(spans) ?? serialize(spans).slice()
    bodies.set(spans, body)
    for (const span of spans) copier.look(span)
    return copier.copy(body)
  }
}

const SERIALIZERS: Record<string, (encoding: Encoding) => (spans: ReadableSpan[]) => Uint8Array> = {
  stock: stockSerializer,
  tailrace: ourSerializer,
  floor: floorSerializer,
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Measures one encoding, of either side: CPU microseconds per span. */
export function encodingTurns(encoding: Encoding): StartTurns {
  return async (variant, { set, count, millis }) => {
    const spans = spansOf(set as SetName, count as number)
    const batches: ReadableSpan[][] = []
    while (spans.length > 0) batches.push(spans.splice(0, BATCH_SPANS))
    const serialize = SERIALIZERS[variant](encoding)
    const countIn = encoding === 'json' ? countJsonSpans : countSpans
    for (const batch of batches) {
      if (countIn(serialize(batch)) !== batch.length)
        throw new Error(`${variant}: spans are missing from the request`)
    }
    return warmTurn(() => batches.forEach(serialize), batches.length * BATCH_SPANS, millis as number)
  }
}

/** Warms up for so long, then answers what the work costs, turn by turn: CPU microseconds per span. */
export function warmTurn(work: () => void, spans: number, warmUpMillis: number): () => number {
  const turn = (): number => {
    const start = cpuMicros()
    let passes = 0
    let used = 0
    do {
      work()
      passes++
      used = cpuMicros() - start
    } while (used < TURN_MICROS)
    return used / (passes * spans)
  }
  for (const end = cpuMicros() + warmUpMillis * 1000; cpuMicros() < end; ) turn()
  return turn
}

export interface EncodingCase {
  readonly label: string
  readonly set: SetName
  readonly count: number
  readonly required: number
  readonly aim: number
}

/** Asks for each case in turn. */
export async function encodingLines(bench: Bench, cases: readonly EncodingCase[]): Promise<Line[]> {
  const lines: Line[] = []
  for (const { label, set, count, ...goal } of cases) {
    const rounds = await bench.turns(['stock', 'tailrace', 'floor'], bench.isQuick ? TURNS / 4 : TURNS, {
      settings: { set, count, millis: bench.isQuick ? 500 : 2000 },
    })
    lines.push(turnsRatioLine(label, 'µs CPU', rounds, goal))
  }
  return lines
}
