/**
 * The behaviours that every runtime must show, as programs: each case ends spans of the real SDK in front of a backend
 * that cases.ts scripts, and says what it saw. What it should have seen is in cases.ts. Runs anywhere: no `node:`, no test
 * runner, nothing but the package as it is installed.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, type Tracer, trace } from '@opentelemetry/api'
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import {
  BatchSpanProcessor,
  type BatchSpanProcessorOptions,
  type FlushResult,
  InMemorySpanExporter,
  JsonLinesExporter,
  OTLPTraceExporter,
  type OTLPTraceExporterOptions,
  type PipelineStats,
} from 'tailrace'

/** What a case saw. */
export interface Observed {
  /** The ledger at the end. */
  readonly stats: PipelineStats
  readonly results?: FlushResult[]
  readonly [name: string]: unknown
}

interface Pipeline {
  readonly processor: BatchSpanProcessor
  readonly tracer: Tracer
  /** Ends that many spans: `span-0` and so on. */
  end(count: number): void
}

function pipeline(
  exporter: SpanExporter,
  options: BatchSpanProcessorOptions = {},
  others: SpanProcessor[] = [],
): Pipeline {
  // No timer: what is sent, a flush or a full batch sends.
  const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 0, ...options })
  const tracer = new BasicTracerProvider({ spanProcessors: [...others, processor] }).getTracer('core', '1.0')
  return {
    processor,
    tracer,
    end: (count) => {
      for (let n = 0; n < count; n++) tracer.startSpan(`span-${n}`).end()
    },
  }
}

function overOtlp(
  url: string,
  options?: BatchSpanProcessorOptions,
  otlp?: OTLPTraceExporterOptions,
): Pipeline {
  return pipeline(new OTLPTraceExporter({ url, ...otlp }), options)
}

/** Ends a span that has something of everything, and flushes. */
async function deliverOne(url: string, otlp: OTLPTraceExporterOptions): Promise<Observed> {
  const { processor, tracer } = overOtlp(url, {}, otlp)
  const link = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: TraceFlags.SAMPLED }
  const parent = tracer.startSpan('parent')
  const span = tracer.startSpan(
    'Füller 傘',
    {
      kind: SpanKind.CLIENT,
      startTime: [1_700_000_000, 123_456_789],
      attributes: { text: '傘\n"', int: 7, double: 0.5, yes: true, list: ['a', 'b'], numbers: [1, 2.5] },
      links: [{ context: link, attributes: { why: 'because' } }],
    },
    trace.setSpan(ROOT_CONTEXT, parent),
  )
  span.addEvent('lit', { left: 3 }, [1_700_000_000, 200_000_000])
  span.setStatus({ code: SpanStatusCode.ERROR, message: 'declined' })
  span.end([1_700_000_001, 5])
  const results = [await processor.flush({ timeoutMillis: 10_000 })]
  const { traceId, spanId } = span.spanContext()
  return { stats: processor.stats(), results, traceId, spanId, parentSpanId: parent.spanContext().spanId }
}

const LONG = { timeoutMillis: 10_000 }

const cases: Record<string, (url: string) => Promise<Observed>> = {
  protobuf: (url) => deliverOne(url, { encoding: 'protobuf' }),
  json: (url) => deliverOne(url, { encoding: 'json' }),
  gzip: (url) => deliverOne(url, { compression: 'gzip' }),

  async batches(url) {
    const { processor, end } = overOtlp(url, { maxExportBatchSize: 50 })
    end(200)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async overflow(url) {
    const { processor, end } = overOtlp(url, { maxQueueSize: 4, maxExportBatchSize: 4 })
    end(10)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async 'joined-flushes'(url) {
    const { processor, end } = overOtlp(url)
    end(3)
    const results = await Promise.all([processor.flush(LONG), processor.flush(LONG)])
    return { stats: processor.stats(), results }
  },

  async retry(url) {
    const { processor, end } = overOtlp(url, { retry: { initialBackoffMillis: 10 } })
    end(2)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async final(url) {
    const { processor, end } = overOtlp(url)
    end(2)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results, code: results[0]!.error?.code }
  },

  async 'too-large'(url) {
    const { processor, end } = overOtlp(url)
    end(4)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async 'partial-success'(url) {
    const { processor, end } = overOtlp(url)
    end(3)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async breaker(url) {
    const { processor, end } = overOtlp(url, { circuitBreaker: { failureThreshold: 1 } })
    end(1)
    const results = [await processor.flush(LONG), await processor.flush(LONG)]
    return { stats: processor.stats(), results, code: results[1]!.error?.code }
  },

  async 'flush-deadline'(url) {
    const { processor, end } = overOtlp(url)
    end(1)
    const results = [await processor.flush({ timeoutMillis: 300 })]
    const stats = processor.stats()
    await processor.shutdown({ timeoutMillis: 0 })
    return { stats, results }
  },

  async 'aborted-flush'(url) {
    const { processor, end } = overOtlp(url)
    const controller = new AbortController()
    end(1)
    const flushed = processor.flush({ ...LONG, signal: controller.signal })
    controller.abort()
    const results = [await flushed]
    const stats = processor.stats()
    await processor.shutdown({ timeoutMillis: 0 })
    return { stats, results }
  },

  async shutdown(url) {
    const { processor, tracer, end } = overOtlp(url)
    end(2)
    const late = tracer.startSpan('late')
    await Promise.all([processor.shutdown(LONG), processor.shutdown(LONG)])
    late.end()
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async 'shutdown-deadline'(url) {
    const { processor, end } = overOtlp(url)
    end(1)
    await processor.shutdown({ timeoutMillis: 300 })
    return { stats: processor.stats() }
  },

  async refused() {
    // Port 9 is closed everywhere, and browsers do not even try.
    const { processor, end } = overOtlp('http://127.0.0.1:9/v1/traces')
    end(1)
    await processor.forceFlush({ timeoutMillis: 300 })
    const stats = processor.stats()
    await processor.shutdown({ timeoutMillis: 0 })
    return { stats }
  },

  async schedule(url) {
    const { processor, end } = overOtlp(url, { scheduledDelayMillis: 50 })
    end(2)
    const deadline = Date.now() + 8000
    while (processor.stats().exported < 2 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10))
    return { stats: processor.stats() }
  },

  async 'encode-error'(url) {
    const { processor, end } = overOtlp(url)
    end(1)
    const broken = Object.create(sample(), {
      attributes: {
        get() {
          throw new Error('broken')
        },
      },
    })
    processor.onEnd(broken as ReadableSpan)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results }
  },

  async unsampled() {
    const processor = new BatchSpanProcessor(new InMemorySpanExporter())
    const provider = new BasicTracerProvider({ sampler: new AlwaysOffSampler(), spanProcessors: [processor] })
    provider.getTracer('core').startSpan('unsampled').end()
    return { stats: processor.stats() }
  },

  async 'json-lines'() {
    const lines: string[] = []
    const { processor, end } = pipeline(new JsonLinesExporter({ write: (line) => void lines.push(line) }))
    end(2)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results, lines }
  },

  /** An exporter of others, with one of ours under a processor of others next to it. */
  async 'span-objects'(url) {
    const names: string[] = []
    const theirs: SpanExporter = {
      export(spans, callback) {
        names.push(...spans.map(({ name }) => name))
        Promise.resolve().then(() => callback({ code: 0 }))
      },
      async shutdown() {},
    }
    const ours = new OTLPTraceExporter({ url })
    const exports: Promise<number>[] = []
    const simple: SpanProcessor = {
      onStart() {},
      onEnd: (span) =>
        void exports.push(new Promise((resolve) => ours.export([span], ({ code }) => resolve(code)))),
      forceFlush: () => ours.forceFlush(),
      shutdown: () => ours.shutdown(),
    }
    const { processor, end } = pipeline(theirs, {}, [simple])
    end(2)
    const results = [await processor.flush(LONG)]
    return { stats: processor.stats(), results, names, codes: await Promise.all(exports) }
  },
}

function sample(): ReadableSpan {
  const exporter = new InMemorySpanExporter()
  const processor: SpanProcessor = {
    onStart() {},
    onEnd: (span) => exporter.export([span], () => {}),
    async forceFlush() {},
    async shutdown() {},
  }
  new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('core').startSpan('broken').end()
  return exporter.getFinishedSpans<ReadableSpan>()[0]!
}

/** Runs a case. Never rejects: what it throws is what it saw. */
export async function run(name: string, origin: string): Promise<Observed | { thrown: string }> {
  try {
    return await cases[name]!(`${origin}/${name}/v1/traces`)
  } catch (error) {
    return { thrown: String((error as Error)?.stack ?? error) }
  }
}
