/**
 * Writes to a spool, or reads from it, and is killed meanwhile. Prints `kept <names>` once the ledger says so: writes to a
 * pipe are synchronous, so that nothing that was reported is lost when it dies.
 *
 *     node spooling.mjs <program> <directory> <url of the collector> <beginning of the names>
 */

import './killing-fs.ts'
import { readdirSync, writeSync } from 'node:fs'
import { SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import { BatchSpanProcessor, OTLPTraceExporter } from 'tailrace'
import { spool } from 'tailrace/spool'

const [program = '', directory = '', url = '', prefix = ''] = process.argv.slice(2)
const BATCHES = 3
const BATCH_SIZE = 5

const processor = new BatchSpanProcessor(
  spool(new OTLPTraceExporter({ url }), { directory, maxReplaysPerSecond: 1000 }),
  { circuitBreaker: { failureThreshold: 1 }, scheduledDelayMillis: 0 },
)
let spanCount = 0

function say(text: string): void {
  writeSync(1, `${text}\n`)
}

/** Ends spans of any size. */
function endBatch(): string[] {
  return Array.from({ length: BATCH_SIZE }, () => {
    const name = `${prefix}-${spanCount++}`
    const spanId = spanCount.toString(16).padStart(16, '0')
    // Without an SDK, which takes longer to load than all the rest together.
    processor.onEnd({
      name,
      kind: SpanKind.INTERNAL,
      spanContext: () => ({ traceId: spanId.padStart(32, 'a'), spanId, traceFlags: TraceFlags.SAMPLED }),
      startTime: [1_700_000_000, 0],
      endTime: [1_700_000_000, 1],
      duration: [0, 1],
      ended: true,
      status: { code: SpanStatusCode.UNSET },
      attributes: { padding: 'x'.repeat((spanCount * 977) % 20_000) },
      links: [],
      events: [],
      resource: { attributes: {} },
      instrumentationScope: { name: 'crash' },
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    })
    return name
  })
}

function report(names: string[], { spooled = 0 }: { spooled?: number }): void {
  if (spooled === names.length) say(`kept ${names.join(' ')}`)
}

async function writeInBackground(): Promise<void> {
  const names = endBatch()
  report(names, await processor.flush({ timeoutMillis: 10_000 }))
}

/** As `flushOnExit` does. */
const FLUSH_SYNC: typeof import('../../src/spill.ts')['FLUSH_SYNC'] = Symbol.for(
  'tailrace.flushSync',
) as never

function writeAtOnce(): void {
  const names = endBatch()
  report(names, processor[FLUSH_SYNC](10_000))
}

const programs: Record<string, () => void | Promise<void>> = {
  async 'in the background'() {
    for (let i = 0; i < BATCHES; i++) await writeInBackground()
  },

  'at once'() {
    for (let i = 0; i < BATCHES; i++) writeAtOnce()
  },

  async 'for ever'() {
    await writeInBackground()
    say('ready')
    for (;;) {
      await writeInBackground()
      writeAtOnce()
    }
  },

  /** Until nothing waits any more. */
  read() {
    const isSent = () => !readdirSync(directory).some((name) => /\.otlp\.pb($|\.claimed|.*\.tmp$)/.test(name))
    const timer = setInterval(async () => {
      if (!isSent()) return
      clearInterval(timer)
      await processor.shutdown()
    }, 20)
  },
}

await programs[program]!()
