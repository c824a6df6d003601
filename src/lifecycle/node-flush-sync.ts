/** Node: what waits is got out while the event loop stands still, because the process is about to be gone. */
import type { BlockingPost, FLUSH_SYNC } from '../spill.ts'
import type { FlushResult, PipelineStats } from '../types.ts'
import { checkOptions, readMillis, warn, wrong } from './checks.ts'
import { blockingPost, prepareBlockingPost } from './node-blocking-post.ts'
import { type Disposer, disposer } from './node-disposer.ts'

/** The same symbol: this file imports only types from there. */
const flushSyncMethod: typeof FLUSH_SYNC = Symbol.for('tailrace.flushSync') as never

/** A `BatchSpanProcessor` of tailrace. Providers and processors of others cannot be flushed without waiting. */
export interface SyncFlushTarget {
  stats(): PipelineStats
}

interface OwnProcessor extends SyncFlushTarget {
  [flushSyncMethod](timeoutMillis: number, post: BlockingPost): FlushResult
}

/** The options of `flushSync` and `flushOnExit`. */
export interface FlushSyncOptions {
  /** How long everything may stand still, in milliseconds. Default 2000. */
  readonly timeoutMillis?: number | undefined
}

/**
 * Gets out what has ended by now before it returns: to the spool (`tailrace/spool`), which is a matter of milliseconds, or
 * over the network, by a helper thread. Everything in this thread stands still meanwhile, so it is for the end of a process
 * only. A batch that is on the wire is sent again, since its answer cannot be heard any more. Never throws otherwise.
 *
 * Nothing can be sent through a proxy, with an `agent` or `fetch` of your own, or, where `headers` is a function, before
 * the first ordinary request; nor by any exporter but `OTLPTraceExporter`, also within `fanOut`, or `failover` between
 * exporters of one encoding. A spool has no such limits.
 *
 * @returns What became of the spans, as `flush` does.
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { flushSync } from 'tailrace/node'
 *
 * process.on('uncaughtException', (error) => {
 *   console.error(error)
 *   flushSync(processor, { timeoutMillis: 500 })
 *   process.abort()
 * })
 * ```
 */
export function flushSync(processor: SyncFlushTarget, options: FlushSyncOptions = {}): FlushResult {
  const { list, timeoutMillis } = read('flushSync', [processor], options)
  const [own] = list as [OwnProcessor]
  return own[flushSyncMethod](timeoutMillis, blockingPost)
}

/**
 * Calls `flushSync` when the process exits, be it by `process.exit()`, an uncaught exception, an unhandled rejection, or
 * because nothing is left to do. Exit code and message stay what they are. Where a processor, or a destination of `fanOut`,
 * has no spool it starts the helper thread now. In a worker thread it is for the end of that thread.
 *
 * It cannot help where Node emits no `exit`: SIGKILL, a signal without a listener (see `shutdownOnSignal`),
 * `process.abort()`, a crash, an out-of-memory error.
 *
 * @param processors - One `BatchSpanProcessor`, or an array.
 * @returns Stops it.
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { flushOnExit } from 'tailrace/node'
 *
 * flushOnExit(processor, { timeoutMillis: 1_000 })
 * ```
 */
export function flushOnExit(
  processors: SyncFlushTarget | readonly SyncFlushTarget[],
  options: FlushSyncOptions = {},
): Disposer {
  const { list, timeoutMillis } = read('flushOnExit', processors, options)
  if (!list.every((processor) => isSpooled(processor.stats()))) prepareBlockingPost()
  const listener = () => {
    const endsAt = performance.now() + timeoutMillis
    for (const processor of list) {
      if (processor.stats().pending === 0) continue
      const { pending } = processor[flushSyncMethod](Math.max(0, endsAt - performance.now()), blockingPost)
      if (pending > 0) warn(`${pending} spans are lost: they could not be got out before the exit`)
    }
  }
  process.on('exit', listener)
  return disposer(() => process.off('exit', listener))
}

/** Of `fanOut` each destination has to have a spool: the sum is there as soon as one has. */
function isSpooled({ spooled, destinations }: PipelineStats): boolean {
  return destinations?.every(isSpooled) ?? spooled !== undefined
}

function read(
  helper: string,
  processors: unknown,
  options: FlushSyncOptions,
): { list: readonly OwnProcessor[]; timeoutMillis: number } {
  const list: readonly unknown[] = Array.isArray(processors) ? [...processors] : [processors]
  for (const processor of list) {
    const own = processor as Partial<OwnProcessor> | null | undefined
    if (typeof own?.[flushSyncMethod] === 'function') continue
    throw wrong(helper, 'processor', "tailrace's BatchSpanProcessor", processor)
  }
  checkOptions(helper, options, ['timeoutMillis'])
  const timeoutMillis = readMillis(helper, 'timeoutMillis', options.timeoutMillis, 2000)
  return { list: list as readonly OwnProcessor[], timeoutMillis }
}
