/**
 * The corpus with other cardinalities. What is unique is so for every span that is made, also when the corpus is made
 * twice. Booleans stay: there are only two. Ids and times are unique in every set.
 *
 *     realistic       as it is
 *     mixed           every second value of a span, in turn, is unique
 *     unique-values   every value is: attributes of spans and events, exceptions
 *     unique-keys     the same, and every key of an attribute too
 *     hostile         the same, and every name of a span or event too
 */
import type { Attributes, AttributeValue } from '@opentelemetry/api'
import type { SpanRecipe, TraceRecipe } from '../corpus.ts'

const SETS = ['realistic', 'mixed', 'unique-values', 'unique-keys', 'hostile'] as const
export type SetName = (typeof SETS)[number]

let counter = 0

/** A text with something in it that no other has; about as long as it was. */
function uniqueText(text: string): string {
  const mark = (counter++).toString(36).padStart(5, '0')
  const unique = text.length < 12 ? `${text}-${mark}` : text.slice(0, -mark.length) + mark
  return Buffer.from(unique).toString()
}

function uniqueValue(value: AttributeValue | undefined): AttributeValue | undefined {
  if (typeof value === 'string') return uniqueText(value)
  if (typeof value === 'number') {
    return Number.isInteger(value) ? value + 100_000 * (1 + counter++) : value + counter++ / 1024
  }
  if (Array.isArray(value)) return value.map((item) => uniqueValue(item as string)) as string[]
  return value
}

function varied(attributes: Attributes, set: SetName): Attributes {
  const result: Attributes = {}
  let position = 0
  for (const [key, value] of Object.entries(attributes)) {
    const stays = set === 'mixed' && position++ % 2 === 0
    const name = set === 'unique-keys' || set === 'hostile' ? uniqueText(key) : key
    result[name] = stays ? value : uniqueValue(value)
  }
  return result
}

function variedSpan(span: SpanRecipe, set: SetName): SpanRecipe {
  const name = (text: string) => (set === 'hostile' ? uniqueText(text) : text)
  const error =
    set === 'mixed'
      ? span.error
      : span.error && {
          name: uniqueText(span.error.name),
          message: uniqueText(span.error.message),
          stack: uniqueText(span.error.stack),
        }
  return {
    ...span,
    name: name(span.name),
    attributes: varied(span.attributes, set),
    endAttributes: varied(span.endAttributes, set),
    events: span.events.map((event) => ({
      ...event,
      name: name(event.name),
      attributes: varied(event.attributes, set),
    })),
    error,
  }
}

/** The trace in another set. */
export function variedTrace(trace: TraceRecipe, set: SetName): TraceRecipe {
  if (set === 'realistic') return trace
  return { ...trace, spans: trace.spans.map((span) => variedSpan(span, set)) }
}
