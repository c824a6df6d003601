/** Makes the corpus into spans, with the SDK that the bench runs against. */
import {
  type Context,
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base'
import * as sdk from '@opentelemetry/sdk-trace-base'
import { corpusTraces, SCOPES, type SpanRecipe, type TraceRecipe } from '../corpus.ts'
import { type SetName, variedTrace } from './cardinality.ts'
import { Random } from './random.ts'

type Provider = sdk.BasicTracerProvider

/** SDK 3 calls it `TracerProvider`. */
const ProviderClass: typeof sdk.BasicTracerProvider =
  sdk.BasicTracerProvider ?? (sdk as Record<string, unknown>).TracerProvider

/** A provider with a resource as detectors find it. */
export function createProvider(processor: SpanProcessor, idGenerator?: sdk.IdGenerator): Provider {
  return new ProviderClass({
    spanProcessors: [processor],
    ...(idGenerator && { idGenerator }),
    resource: resourceFromAttributes({
      'service.name': 'shop',
      'service.version': '4.2.0',
      'service.namespace': 'retail',
      'service.instance.id': '627cc493-f310-47de-96bd-71410b7dec09',
      'deployment.environment.name': 'production',
      'host.name': 'shop-5d8f7b6c9-x2x7k',
      'process.pid': 1,
      'process.runtime.name': 'nodejs',
      'cloud.region': 'eu-central-1',
      'k8s.pod.name': 'shop-5d8f7b6c9-x2x7k',
    }),
  })
}

/** Plays traces: starts and ends their spans, as instrumentations would. */
export class Player {
  readonly #tracers: Tracer[]
  readonly #open: Span[] = []

  constructor(provider: Provider) {
    this.#tracers = SCOPES.map(([name, version]) => provider.getTracer(name, version))
  }

  play({ remote, spans }: TraceRecipe): void {
    const root = remote
      ? trace.setSpanContext(ROOT_CONTEXT, {
          traceId: remote.traceId,
          spanId: remote.spanId,
          traceFlags: TraceFlags.SAMPLED,
          isRemote: true,
          ...(remote.traceState && { traceState: createTraceState(remote.traceState) }),
        })
      : ROOT_CONTEXT
    const open = this.#open
    for (let i = 0; i < spans.length; i++) {
      const recipe = spans[i]
      const parent = open[recipe.depth - 1]
      open[recipe.depth] = this.#start(recipe, parent ? trace.setSpan(root, parent) : root)
      // Whoever has no more children ends.
      const next = spans[i + 1]?.depth ?? 0
      for (let depth = recipe.depth; depth >= next; depth--) {
        this.#end(open[depth], spans[lastAt(spans, i, depth)])
      }
    }
    open.length = 0
  }

  #start(recipe: SpanRecipe, context: Context): Span {
    const { link } = recipe
    return this.#tracers[recipe.scope].startSpan(
      recipe.name,
      {
        kind: recipe.kind,
        startTime: recipe.startTime,
        attributes: recipe.attributes,
        ...(link && { links: [{ context: { ...link, traceFlags: TraceFlags.SAMPLED } }] }),
      },
      context,
    )
  }

  #end(span: Span, recipe: SpanRecipe): void {
    for (const { name, attributes, time } of recipe.events) span.addEvent(name, attributes, time)
    span.setAttributes(recipe.endAttributes)
    if (recipe.error) {
      span.recordException(recipe.error, recipe.endTime)
      span.setStatus({ code: SpanStatusCode.ERROR, message: recipe.error.message })
    }
    span.end(recipe.endTime)
  }
}

/** The last span at this depth among the first. */
function lastAt(spans: readonly SpanRecipe[], from: number, depth: number): number {
  let i = from
  while (spans[i].depth !== depth) i--
  return i
}

/** A processor that does nothing but hand over what has ended. */
export function processorOf(onEnd: (span: ReadableSpan) => void): SpanProcessor {
  return { onStart() {}, onEnd, async forceFlush() {}, async shutdown() {} }
}

/** The recipes of a set, made once and played again and again. */
export function recipesOf(set: SetName, spans = Number.POSITIVE_INFINITY): TraceRecipe[] {
  const recipes: TraceRecipe[] = []
  let count = 0
  for (const recipe of corpusTraces()) {
    if (count >= spans) break
    count += recipe.spans.length
    recipes.push(variedTrace(recipe, set))
  }
  return recipes
}

/** The first spans of a set, ended, in the order of their ends. The same ones in every run. */
export function spansOf(set: SetName, count: number): ReadableSpan[] {
  const spans: ReadableSpan[] = []
  const random = new Random(4711)
  const provider = createProvider(
    processorOf((span) => spans.push(span)),
    { generateTraceId: () => random.hex(32), generateSpanId: () => random.hex(16) },
  )
  const player = new Player(provider)
  for (const recipe of recipesOf(set, count)) player.play(recipe)
  return spans.slice(0, count)
}

/** Plays recipes round and round, a number of spans at a time. */
export class Stream {
  readonly #player: Player
  readonly #recipes: readonly TraceRecipe[]
  #next = 0
  /** Spans that have ended so far. */
  count = 0

  constructor(provider: Provider, recipes: readonly TraceRecipe[]) {
    this.#player = new Player(provider)
    this.#recipes = recipes
  }

  /** Ends at least as many spans as it takes to have ended `total`. */
  playUntil(total: number): void {
    while (this.count < total) {
      const recipe = this.#recipes[this.#next] as TraceRecipe
      this.#next = (this.#next + 1) % this.#recipes.length
      this.#player.play(recipe)
      this.count += recipe.spans.length
    }
  }
}
