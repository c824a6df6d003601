/** A processor that gets more spans than its backend takes, and what arrives of them. */
import { setImmediate as turn } from 'node:timers/promises'
import { BatchSpanProcessor, type BatchSpanProcessorOptions, OTLPTraceExporter } from 'tailrace'
import { decodeProtobuf } from '../helpers/otlp-schema.ts'
import { interleavedTraces, type LoadSpan, spanOf } from '../helpers/traces.ts'

/** How much of it. */
export interface Overload {
  /** Spans that end while the backend takes one. */
  readonly factor: number
  /** Requests whose spans end in between one another. */
  readonly concurrent: number
  readonly spans: number
  readonly dropPolicy: NonNullable<BatchSpanProcessorOptions['dropPolicy']>
}

/** What arrived, as fractions. */
export interface Survival {
  /** Of all traces: those that arrived whole. */
  readonly wholeTraces: number
  /** Of the spans that arrived: those of traces that arrived whole. */
  readonly inWholeTraces: number
  readonly roots: number
  readonly errors: number
  /** CPU for each span that ended, in microseconds: the processor's, batches included. */
  readonly microsPerSpan: number
}

const BATCH = 512

/** With the default queue of 2,048 spans and batches of 512. Deterministic, but for the CPU. */
export async function overload({ factor, concurrent, spans, dropPolicy }: Overload): Promise<Survival> {
  const bodies: Uint8Array[] = []
  let answer: (response: Response) => void = () => {}
  const fetch = (_url: unknown, init?: RequestInit) => {
    bodies.push((init as { body: Uint8Array }).body.slice())
    return new Promise<Response>((resolve) => {
      answer = resolve
    })
  }
  const exporter = new OTLPTraceExporter({ fetch: fetch as typeof globalThis.fetch, url: 'http://backend/' })
  const processor = new BatchSpanProcessor(exporter, { dropPolicy, scheduledDelayMillis: 0 })
  const load = interleavedTraces(concurrent)
  const ended: LoadSpan[] = []
  let micros = 0
  while (ended.length < spans) {
    const round = Array.from({ length: BATCH * factor }, () => load.next().value)
    const offered = round.map((part, i) => spanOf(part.trace, String(ended.length + i), part))
    const { user, system } = process.cpuUsage()
    for (const span of offered) processor.onEnd(span)
    ended.push(...round)
    const requests = bodies.length
    answer(new Response())
    while (bodies.length === requests) await turn()
    const used = process.cpuUsage()
    micros += used.user + used.system - user - system
  }
  const { pending, ...stats } = processor.stats()
  answer(new Response())
  await processor.shutdown({ timeoutMillis: 0 })
  const arrived = new Set(bodies.flatMap(spanNumbers))
  if (arrived.size !== stats.exported + stats.inFlight) throw new Error('more arrived than the ledger says')
  if (pending + stats.exported + stats.dropped.queue_full !== ended.length)
    throw new Error('it does not balance')
  return { ...survival(ended, arrived), microsPerSpan: micros / ended.length }
}

function spanNumbers(body: Uint8Array): number[] {
  const { resourceSpans } = decodeProtobuf(body)
  return resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans))
    .map(({ name }) => Number(name))
}

function survival(ended: readonly LoadSpan[], arrived: ReadonlySet<number>): Omit<Survival, 'microsPerSpan'> {
  const traces = new Map<number, { spans: number; arrived: number; isOver: boolean }>()
  ended.forEach(({ trace, isRoot }, i) => {
    const counts = traces.get(trace) ?? { spans: 0, arrived: 0, isOver: false }
    counts.spans++
    if (arrived.has(i)) counts.arrived++
    counts.isOver ||= isRoot
    traces.set(trace, counts)
  })
  const over = [...traces.values()].filter(({ isOver }) => isOver)
  const whole = over.filter((trace) => trace.spans === trace.arrived)
  const spansIn = (of: readonly { arrived: number }[]) => of.reduce((sum, trace) => sum + trace.arrived, 0)
  const fraction = (is: (span: LoadSpan) => boolean) => {
    const numbers = ended.flatMap((span, i) => (is(span) ? i : []))
    return numbers.filter((i) => arrived.has(i)).length / numbers.length
  }
  return {
    wholeTraces: whole.length / over.length,
    inWholeTraces: spansIn(whole) / spansIn(over),
    roots: fraction(({ isRoot }) => isRoot),
    errors: fraction(({ isError }) => isError),
  }
}
