/**
 * What of encoding a realistic span to protobuf goes into what? The same spans are encoded with one part left out; what
 * that saves is what the part takes. Together they come to more or less than all: what is left out warms no caches either.
 */
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { spansOf } from './corpus/spans.ts'
import { BATCH_SPANS, ourSerializer, warmTurn } from './harness/encoding.ts'
import { type Line, type Question, ratioOf, type StartTurns } from './harness/question.ts'
import { mediansOf } from './harness/turns.ts'

const TURNS = 40

/** A span as a plain object, whatever is left out of it, so that all variants are alike. */
function plain(span: ReadableSpan) {
  const context = span.spanContext()
  const { name, kind, parentSpanContext, startTime, endTime, status, attributes, links, events } = span
  const { resource, instrumentationScope, droppedAttributesCount, droppedEventsCount, droppedLinksCount } =
    span
  return {
    name,
    kind,
    spanContext: () => context,
    parentSpanContext,
    startTime,
    endTime,
    status,
    attributes,
    links,
    events,
    resource,
    instrumentationScope,
    droppedAttributesCount,
    droppedEventsCount,
    droppedLinksCount,
  }
}

type PlainSpan = ReturnType<typeof plain>

/** What is left of a span without a part of it. */
const WITHOUT: Record<string, (span: PlainSpan, latest: Map<string, PlainSpan>) => PlainSpan> = {
  all: (span) => span,
  attributes: (span) => ({ ...span, attributes: {} }),
  'differing values': (span, latest) => {
    const alike = latest.get(`${span.kind} ${span.name}`) ?? span
    latest.set(`${span.kind} ${span.name}`, alike)
    return { ...span, attributes: alike.attributes }
  },
  'events and links': (span) => ({ ...span, events: [], links: [] }),
  ids: (span) => {
    const context = { ...span.spanContext(), traceId: '', spanId: '' }
    return { ...span, spanContext: () => context, parentSpanContext: undefined }
  },
}
const PARTS = Object.keys(WITHOUT).filter((part) => part !== 'all')

const turns: StartTurns = async (variant, { millis }) => {
  const latest = new Map<string, PlainSpan>()
  const spans = spansOf('realistic', BATCH_SPANS).map((span) => WITHOUT[variant](plain(span), latest))
  const serialize = ourSerializer('protobuf')
  return warmTurn(() => void serialize(spans as unknown as ReadableSpan[]), BATCH_SPANS, millis as number)
}

export const question: Question = {
  name: 'encode-profile',
  title: 'what encoding a realistic span to protobuf consists of',
  turns,
  async ask(bench) {
    const rounds = await bench.turns(['all', ...PARTS], bench.isQuick ? TURNS / 4 : TURNS, {
      settings: { millis: bench.isQuick ? 500 : 2000 },
    })
    return PARTS.map(
      (part): Line => ({
        label: `of it ${part}`,
        unit: 'µs CPU',
        samples: Object.fromEntries(
          Object.entries(mediansOf(rounds, ['all', part])).map(([name, costs]) => [
            name === part ? 'without' : name,
            costs,
          ]),
        ),
        figures: rounds.map((round) => (1 - ratioOf(round, part, 'all')) * 100),
        figureUnit: '%',
        isRatioToStock: false,
      }),
    )
  },
}
