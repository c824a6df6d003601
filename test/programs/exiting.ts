/**
 * Programs that end without waiting for anybody, one a way to end. What is printed by `say` is there when they are gone.
 *
 *     node exiting.mjs <name> <url of the collector> <timeoutMillis> [<directory of a spool>]
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { DiagLogLevel, diag } from '@opentelemetry/api'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import {
  BatchSpanProcessor,
  OTLPTraceExporter,
  type OTLPTraceExporterOptions,
  type SpanExporter,
} from 'tailrace'
import { failover, fanOut } from 'tailrace/fan-out'
import { flushOnExit, flushSync } from 'tailrace/node'
import { spool } from 'tailrace/spool'

const [name = '', url = '', timeout = '', directory] =
  (workerData as string[] | null) ?? process.argv.slice(2)
const timeoutMillis = Number(timeout)

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

diag.setLogger(
  { error: say, warn: (text) => say(`warned ${text}`), info() {}, debug() {}, verbose() {} },
  { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
)

/** With the spool, if there is a directory for one. */
function exporterOf(options: OTLPTraceExporterOptions = {}) {
  const exporter = new OTLPTraceExporter({ url, ...options })
  return directory === undefined ? exporter : spool(exporter, { directory })
}

/** A processor of ours behind a provider of the SDK; only flush and exit send. */
function tracing(options?: OTLPTraceExporterOptions, exporter: SpanExporter = exporterOf(options)) {
  const processor = new BatchSpanProcessor(exporter, {
    scheduledDelayMillis: 0,
    maxExportBatchSize: 100,
    maxQueueSize: 10_000,
  })
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('exiting')
  const span = (spanName: string) => tracer.startSpan(spanName).end()
  return { processor, span }
}

/** Says, as the very last, what the ledger has and how long the exit took. */
function sayLedger(processor: BatchSpanProcessor): void {
  let startedAt = 0
  process.prependListener('exit', () => {
    startedAt = performance.now()
  })
  process.on('exit', () => {
    const { ended, exported, pending, spooled } = processor.stats()
    say(`ledger ${JSON.stringify({ ended, exported, pending, spooled })}`)
    say(`took ${Math.round(performance.now() - startedAt)}`)
  })
}

function prepared(options?: OTLPTraceExporterOptions, exporter?: SpanExporter) {
  const { processor, span } = tracing(options, exporter)
  flushOnExit(processor, { timeoutMillis })
  sayLedger(processor)
  return { processor, span }
}

const programs: Record<string, () => void | Promise<void>> = {
  'process.exit'() {
    const { span } = prepared()
    span('last')
    process.exit(3)
  },

  'an uncaught exception'() {
    const { span } = prepared()
    span('last')
    throw new RangeError('what the program has to say')
  },

  async 'an unhandled rejection'() {
    const { span } = prepared()
    span('last')
    Promise.reject(new RangeError('what the program has to say'))
    await new Promise((resolve) => setTimeout(resolve, 10_000))
  },

  'a natural end'() {
    const { span } = prepared()
    process.exitCode = 5
    span('last')
  },

  'a natural end without spans'() {
    prepared()
  },

  'many spans'() {
    const { span } = prepared()
    for (let i = 0; i < 1000; i++) span(`span-${i}`)
    process.exit(3)
  },

  /** The event loop has no chance to hear the answer. */
  async 'a batch on the wire'() {
    const { processor, span } = prepared()
    const isOnTheWire = once(process, 'SIGUSR2')
    span('on the wire')
    processor.flush()
    await isOnTheWire
    span('last')
    process.exit(3)
  },

  'a handler of its own, unprepared'() {
    const { processor, span } = tracing()
    sayLedger(processor)
    process.prependListener('exit', () => {
      const { status, exported, openSpans } = flushSync(processor, { timeoutMillis })
      say(`flushed ${status} ${exported} ${openSpans}`)
    })
    span('last')
    process.exit(3)
  },

  'a handler that goes on'() {
    const { processor, span } = tracing()
    process.on('uncaughtException', () => {
      say(`flushed ${flushSync(processor, { timeoutMillis }).status}`)
      span('afterwards')
      processor.shutdown()
    })
    span('before')
    throw new Error('caught')
  },

  'a worker thread'() {
    if (isMainThread) {
      const worker = new Worker(new URL(import.meta.url), { workerData: process.argv.slice(2) })
      worker.once('exit', (code) => say(`thread ended ${code}`))
      return
    }
    const { span } = prepared()
    span('of a thread')
    process.exit(3)
  },

  'headers of a function'() {
    const { span } = prepared({ headers: async () => ({ 'x-token': 'fresh' }) })
    span('last')
    process.exit(3)
  },

  async 'headers of a function, which are known'() {
    const { processor, span } = prepared({
      headers: async () => ({ 'x-token': 'fresh' }),
      compression: 'gzip',
    })
    span('first')
    await processor.flush()
    span('last')
    process.exit(3)
  },

  'a destination that is down, and another'() {
    const down = new OTLPTraceExporter({ url: 'http://127.0.0.1:9/v1/traces' })
    const { span } = prepared(undefined, failover([down, new OTLPTraceExporter({ url })]))
    for (let i = 0; i < 1000; i++) span(`span-${i}`)
    process.exit(3)
  },

  async 'a spool and a destination without'() {
    let threads = 0
    process.on('worker', () => threads++)
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    flushOnExit(tracing(undefined, fanOut([exporterOf()])).processor)()
    await turn()
    say(`threads ${threads}`)
    const { span } = prepared(undefined, fanOut([exporterOf(), new OTLPTraceExporter({ url })]))
    await turn()
    say(`threads ${threads}`)
    span('last')
    process.exit(3)
  },

  'a disposer'() {
    const { processor, span } = tracing()
    // The first one starts the thread, for which Node listens itself.
    flushOnExit(processor, { timeoutMillis })()
    const before = process.listenerCount('exit')
    const stop = flushOnExit(processor, { timeoutMillis })
    const during = process.listenerCount('exit')
    stop()
    span('last')
    say(`listeners ${during - before} ${process.listenerCount('exit') - before}`)
    process.exit(3)
  },
}

await programs[name]!()
