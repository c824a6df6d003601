/**
 * A process that is stopped and continued from outside: ends spans and flushes as it is told over IPC. One counted
 * failure opens its breaker, and its backoff is longer than any flush waits, so that nothing passes by luck.
 *
 *     node freezable.js <url of the collector> <milliseconds that an attempt may take>
 */
import {
  BatchSpanProcessor,
  type DropReason,
  type FlushResult,
  OTLPTraceExporter,
  type PipelineStats,
} from 'tailrace'
import { handMadeSpan } from '../helpers/spans.ts'

/** What the process is told to do. */
export type Command = { do: 'end'; count: number } | { do: 'flush'; timeoutMillis: number } | { do: 'stats' }

/** What it answers. */
export interface Answer {
  result?: FlushResult
  stats: PipelineStats
  errors: string[]
  drops: DropReason[]
}

const [url = '', attemptTimeout] = process.argv.slice(2)
const attemptTimeoutMillis = Number(attemptTimeout)
const errors: string[] = []
const drops: DropReason[] = []
const processor = new BatchSpanProcessor(new OTLPTraceExporter({ url, attemptTimeoutMillis }), {
  exportTimeoutMillis: attemptTimeoutMillis + 100,
  scheduledDelayMillis: 0,
  circuitBreaker: { failureThreshold: 1, probeIntervalMillis: 60_000 },
  retry: { initialBackoffMillis: 20_000, maxBackoffMillis: 20_000 },
  onError: (error) => errors.push(error.code),
  onDrop: ({ reason }) => drops.push(reason),
})

process.on('message', async (command: Command) => {
  let result: FlushResult | undefined
  if (command.do === 'end') for (let i = 0; i < command.count; i++) processor.onEnd(handMadeSpan())
  if (command.do === 'flush') result = await processor.flush({ timeoutMillis: command.timeoutMillis })
  const answer: Answer = { stats: processor.stats(), errors, drops }
  process.send?.(result === undefined ? answer : { ...answer, result })
})
process.send?.('ready')
