/**
 * Has a spool on a disk that fills up, or turns read-only, and gets well again. Prints `<when> <ledger>` and every line of
 * `diag`; sends all that waits in the end. To be run where it may mount.
 *
 *     node small-disk.mjs <full | read-only> <mount point of a small tmpfs> <url of the collector>
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DiagLogLevel, diag } from '@opentelemetry/api'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { flushSync } from 'tailrace/node'
import { spool } from 'tailrace/spool'

const [trouble = '', disk = '', url = ''] = process.argv.slice(2)
const ballast = join(disk, 'ballast')

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

const tell = (text: string) => say(`told ${text}`)
diag.setLogger(
  { error: tell, warn: tell, info: tell, debug() {}, verbose() {} },
  { logLevel: DiagLogLevel.INFO, suppressOverrideMessage: true },
)

const troubles: Record<string, { begin(): void; end(): void }> = {
  full: {
    begin() {
      try {
        for (;;) appendFileSync(ballast, Buffer.alloc(4096))
      } catch (error) {
        say(`filled until ${(error as NodeJS.ErrnoException).code}`)
      }
    },
    end: () => rmSync(ballast),
  },
  'read-only': {
    begin: () => void execFileSync('mount', ['-o', 'remount,ro', disk]),
    end: () => void execFileSync('mount', ['-o', 'remount,rw', disk]),
  },
}

const exporter = spool(new OTLPTraceExporter({ url }), { directory: join(disk, 'spool') })
const processor = new BatchSpanProcessor(exporter, {
  circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 600_000 },
  scheduledDelayMillis: 0,
  maxQueueSize: 50,
  maxExportBatchSize: 10,
})
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('small-disk')
let spanCount = 0

function endSpans(count: number): void {
  for (let i = 0; i < count; i++) tracer.startSpan(`span-${spanCount++}`).end()
}

function sayLedger(when: string): void {
  const { ended, spooled, pending, dropped } = processor.stats()
  const { files } = exporter.stats().written
  say(`${when} ${JSON.stringify({ ended, spooled, pending, queueFull: dropped.queue_full, files })}`)
}

endSpans(10)
await processor.flush()
sayLedger('before')

troubles[trouble]!.begin()
for (let i = 0; i < 3; i++) {
  endSpans(10)
  await processor.flush()
}
sayLedger('during')
endSpans(60)
flushSync(processor, { timeoutMillis: 100 })
sayLedger('still')

troubles[trouble]!.end()
// The next try is due.
const now = performance.now.bind(performance)
performance.now = () => now() + 10_000
await processor.flush()
sayLedger('after')

while (exporter.stats().waiting.files > 0) {
  await exporter.replay()
  await delay(50)
}
say(`replayed ${JSON.stringify(exporter.stats().replayed)}`)
await processor.shutdown()
