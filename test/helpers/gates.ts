/** One gate for all exporters: stock, encoded, and the real OTLP exporter in front of a collector on loopback. */
import { OTLPTraceExporter } from '../../src/otlp/exporter.ts'
import type { SpanExporter } from '../../src/types.ts'
import { EXPORTER_KINDS, type ExporterKind, gatedExporter } from './exporters.ts'
import { answers, type Behaviour, startCollector } from './misbehaving-collector.ts'
import { decodeProtobuf } from './otlp-schema.ts'

/** Every kind of exporter there is. */
export type GateKind = ExporterKind | 'otlp'

/** For `describe.each`. */
export const GATE_KINDS: [string, GateKind][] = [...EXPORTER_KINDS, ['OTLP over HTTP', 'otlp']]

/** An exporter whose batches are answered by the test, and what it has received. */
export interface Gate {
  readonly exporter: SpanExporter
  readonly batches: readonly { readonly names: string[]; release(): void }[]
  readonly mostRunning: number
  whenBatches(count: number): Promise<void>
  close(): Promise<void>
}

/** Makes one; end it with `close`. */
export async function openGate(kind: GateKind): Promise<Gate> {
  if (kind === 'otlp') return openCollectorGate()
  const exporter = gatedExporter(kind)
  return {
    exporter,
    batches: exporter.batches,
    get mostRunning() {
      return exporter.mostRunning
    },
    whenBatches: (count) => exporter.whenBatches(count),
    close: async () => {},
  }
}

async function openCollectorGate(): Promise<Gate> {
  const collector = await startCollector()
  const batches: { names: string[]; release(): void }[] = []
  const waiting = new Set<() => void>()
  let running = 0
  let mostRunning = 0
  const gate: Behaviour = {
    stage: 'request',
    act(socket, request) {
      mostRunning = Math.max(mostRunning, ++running)
      batches.push({
        names: namesOf(request!.body),
        release() {
          running--
          answers(200).act(socket, request)
        },
      })
      for (const check of waiting) check()
    },
  }
  collector.otherwise(gate)
  return {
    exporter: new OTLPTraceExporter({ url: collector.url }),
    batches,
    get mostRunning() {
      return mostRunning
    },
    whenBatches: (count) =>
      new Promise((resolve) => {
        const check = () => {
          if (batches.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
    close: () => collector.stop(),
  }
}

/** The names of the spans in a protobuf request, in order. */
export function namesOf(body: Uint8Array): string[] {
  return decodeProtobuf(body).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name)),
  )
}
