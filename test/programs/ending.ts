/**
 * Programs that are ended from outside or end by themselves, one a way to end. Each prints `ready` when it is, and a
 * line for what happens to it: writes to a pipe are synchronous, so that nothing is lost when it dies.
 *
 *     node ending.mjs <name> <url of the collector> [<options of the helper, JSON>]
 */
import cluster from 'node:cluster'
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isMainThread, threadId, Worker, workerData } from 'node:worker_threads'
import { diag } from '@opentelemetry/api'
import { OTLPTraceExporter as StockExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BasicTracerProvider, BatchSpanProcessor as StockProcessor } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushBeforeExit, type ShutdownOnSignalOptions, shutdownOnSignal } from 'tailrace/node'

const [name = '', url = '', json = '{}'] = (workerData as string[] | null) ?? process.argv.slice(2)
const options = JSON.parse(json) as ShutdownOnSignalOptions

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

/** A processor of ours behind a provider of the SDK; only flush and shutdown send. */
function tracing() {
  const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 0 })
  const provider = new BasicTracerProvider({ spanProcessors: [processor] })
  const span = (spanName: string) => provider.getTracer('ending').startSpan(spanName).end()
  return { processor, provider, span }
}

function onDone({ signal, status, durationMillis }: Parameters<NonNullable<typeof options.onDone>>[0]): void {
  say(`done ${signal} ${status}`)
  say(`took ${Math.round(durationMillis)}`)
}

/** Does something until the end of time. */
function live(): void {
  setInterval(() => {}, 60_000)
}

/** A server that takes its time for each request, during which a span ends. */
function serve(span: (spanName: string) => void) {
  const server = createServer((_request, response) => {
    say('request')
    setTimeout(() => {
      span('while draining')
      response.end('ok')
    }, 500)
  })
  server.listen(0, '127.0.0.1', () => say(`ready ${(server.address() as AddressInfo).port}`))
  return server
}

const programs: Record<string, () => void> = {
  alone() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, { ...options, onDone })
    span('before the signal')
    process.on('exit', () => say(`ledger ${JSON.stringify(processor.stats())}`))
    live()
    say('ready')
  },

  /** Gets its signal again as soon as it has got it. Sent from outside, the two might come as one, or late. */
  'with an echo'() {
    const { processor, span } = tracing()
    const { flush } = processor
    processor.flush = (...args) => {
      process.kill(process.pid, 'SIGINT')
      return flush.apply(processor, args)
    }
    shutdownOnSignal(processor, { ...options, onDone })
    span('before the signal')
    live()
    say('ready')
  },

  /** Says what became of the spans, since it dies without `exit`. */
  'ledger when done'() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, {
      ...options,
      onDone(done) {
        const { ended, exported, dropped, pending } = processor.stats()
        say(`ledger ${JSON.stringify({ ended, exported, lost: dropped.shutdown_timeout, pending })}`)
        onDone(done)
      },
    })
    span('before the signal')
    live()
    say('ready')
  },

  'with a server that drains'() {
    const { processor, span } = tracing()
    span('before the signal')
    const server = serve(span)
    process.exitCode = 7
    process.once('SIGTERM', () => server.close(() => say('drained')))
    shutdownOnSignal(processor, { ...options, onDone })
  },

  'with a server that drains and exits'() {
    const { processor, span } = tracing()
    span('before the signal')
    shutdownOnSignal(processor, { ...options, onDone })
    const server = serve(span)
    live()
    process.on('SIGTERM', () =>
      server.close(() => {
        say('drained')
        process.exit(3)
      }),
    )
  },

  'with a listener that exits at once'() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, { ...options, onDone })
    span('before the signal')
    process.on('SIGTERM', () => {
      process.exit(4)
      process.exit(5)
    })
    live()
    say('ready')
  },

  'with a listener that does nothing'() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, { ...options, onDone })
    span('before the signal')
    process.on('SIGTERM', () => {
      setTimeout(async () => {
        span('after the signal')
        await processor.forceFlush()
        say('goes on')
      }, 300)
    })
    live()
    say('ready')
  },

  'with an exit in a sole shutdown'() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, { ...options, onDone: () => process.exit(6) })
    span('before the signal')
    live()
    say('ready')
  },

  'with several of everything'() {
    const [one, two, three] = [tracing(), tracing(), tracing()]
    const stock = new BasicTracerProvider({
      spanProcessors: [new StockProcessor(new StockExporter({ url }))],
    })
    shutdownOnSignal([one.processor, two.provider, stock], { ...options, onDone })
    shutdownOnSignal(three.processor, { ...options, onDone })
    one.span('of a processor')
    two.span('of a provider')
    stock.getTracer('ending').startSpan('of a stock provider').end()
    three.span('of another call')
    live()
    say('ready')
  },

  /** Without a word in between: its provider neither flushes nor shuts down. */
  'with a provider that hangs'() {
    const hang = () => new Promise<void>((resolve) => setTimeout(resolve, 60_000))
    shutdownOnSignal({ forceFlush: hang, shutdown: hang }, { ...options, onDone })
    process.once('SIGTERM', () => clearInterval(alive))
    const alive = setInterval(() => {}, 60_000)
    say('ready')
  },

  'with a callback that throws'() {
    const { processor, span } = tracing()
    const ignore = () => {}
    const warn = (message: string) => say(`warned ${message}`)
    diag.setLogger({ error: ignore, warn, info: ignore, debug: ignore, verbose: ignore })
    shutdownOnSignal(processor, {
      onDone() {
        say('thrown')
        throw new Error('a callback threw')
      },
    })
    span('before the signal')
    live()
    say('ready')
  },

  disposed() {
    const before = process.eventNames().length
    const { processor, span } = tracing()
    const dispose = shutdownOnSignal(processor, { ...options, onDone })
    const symbol: symbol | undefined = Symbol.dispose
    say(`symbol ${symbol !== undefined && symbol in dispose} of ${symbol !== undefined}`)
    dispose()
    say(`listeners ${process.eventNames().length - before}`)
    span('before the signal')
    live()
    say('ready')
  },

  'worker threads'() {
    const { processor, span } = tracing()
    if (isMainThread) {
      shutdownOnSignal(processor, { ...options, onDone })
      span('of the main thread')
      const url = new URL(import.meta.url)
      const workers = [1, 2, 3].map(() => new Worker(url, { workerData: process.argv.slice(2) }))
      let listening = 0
      for (const worker of workers) {
        worker.on('message', async (text) => {
          say(`message ${text}`)
          if (++listening < workers.length) return
          // One that is gone without a word must not be waited for.
          await workers[2]!.terminate()
          say('ready')
        })
      }
      return
    }
    shutdownOnSignal(processor, { onDone: ({ status }) => say(`thread done ${status}`) })
    span(`of thread ${threadId}`)
    live()
    setTimeout(async () => {
      const { parentPort } = await import('node:worker_threads')
      parentPort?.postMessage('listening')
    }, 100)
  },

  'a cluster'() {
    const { processor, span } = tracing()
    shutdownOnSignal(processor, { ...options, onDone })
    if (cluster.isPrimary) {
      span('of the primary')
      let listening = 0
      for (let i = 0; i < 2; i++) {
        cluster.fork().on('listening', () => {
          if (++listening === 2) say('ready')
        })
      }
    } else {
      span(`of worker ${cluster.worker?.id}`)
      createServer().listen(0, '127.0.0.1')
    }
  },

  'a script'() {
    const { processor, span } = tracing()
    flushBeforeExit(processor, options)
    const { flush } = processor
    processor.flush = (...args) => {
      say('flush')
      return flush.apply(processor, args)
    }
    // As many as there are, each gives the process something to do, which makes `beforeExit` come again.
    let rounds = 0
    process.on('beforeExit', () => {
      if (++rounds <= 3) setTimeout(() => {}, 10)
    })
    process.exitCode = 5
    span('of a script')
    process.on('exit', () => say(`rounds ${rounds}`))
  },

  'a script with a provider that hangs'() {
    const hang = () => new Promise<void>((resolve) => setTimeout(resolve, 60_000))
    flushBeforeExit({ forceFlush: hang }, options)
    process.exitCode = 5
  },

  'a script in a worker thread'() {
    if (isMainThread) {
      new Worker(new URL(import.meta.url), { workerData: process.argv.slice(2) })
      return
    }
    const { processor, span } = tracing()
    flushBeforeExit(processor, options)
    span('of a thread')
  },

  'a script that does not want it'() {
    const { processor, span } = tracing()
    flushBeforeExit(processor, options)()
    span('of a script')
  },
}

programs[name]?.()
