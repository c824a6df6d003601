/** Node: what waits is sent before the process ends, be it by a signal or because nothing is left to do. */
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import type { TracerProvider } from '@opentelemetry/api'
import { checkFunction, checkOptions, hasMethods, readMillis, warn, wrong } from './checks.ts'
import { endClusterWorkers, onPrimaryGone } from './node-cluster.ts'
import { type Disposer, disposer } from './node-disposer.ts'
import { asOurs, type ExitHold, hasOtherListeners, holdExit, raise } from './node-exit.ts'
import { ListeningThreads, listenToMainThread } from './node-threads.ts'
import { ClosableTarget, type FlushStatus, within, worstOf } from './target.ts'

export type { Disposer } from './node-disposer.ts'
export { type FlushSyncOptions, flushOnExit, flushSync, type SyncFlushTarget } from './node-flush-sync.ts'
export type { FlushStatus } from './target.ts'

/** Something that can be flushed: a processor or a tracer provider; or `trace.getTracerProvider()`, which stands for one. */
export type Flushable = { forceFlush(): Promise<unknown> } | TracerProvider

/** Something that can be shut down, too; or an SDK that has nothing but `shutdown`. */
export type Closable = { forceFlush?(): Promise<unknown>; shutdown(): Promise<unknown> } | TracerProvider

/** How `shutdownOnSignal` ended. */
export interface ShutdownDone {
  /** The signal that began it; `undefined` in a worker thread, and in a cluster worker whose primary died. */
  readonly signal: NodeJS.Signals | undefined
  /** Of all processors and providers, and of the worker threads, the worst. */
  readonly status: FlushStatus
  readonly durationMillis: number
}

/** The options of `shutdownOnSignal`. */
export interface ShutdownOnSignalOptions {
  /** Default `['SIGTERM', 'SIGINT']`. */
  readonly signals?: readonly NodeJS.Signals[] | undefined
  /** How long flush and shutdown may hold up the end of the process, in milliseconds. Default 8000. */
  readonly timeoutMillis?: number | undefined
  /** Called when all is shut down; what it returns is awaited within the deadline. May throw: it is contained. */
  readonly onDone?: ((done: ShutdownDone) => unknown) | undefined
}

/** The options of `flushBeforeExit`. */
export interface FlushBeforeExitOptions {
  /** How long the flush may hold up the end of the process, in milliseconds. Default 2000. */
  readonly timeoutMillis?: number | undefined
}

type OneOrMore<Item> = Item | readonly Item[]

/**
 * A signal that comes again this soon is the same: a terminal sends Ctrl-C to the whole process group, systemd sends
 * SIGTERM to the whole control group, and a parent such as npm passes its own on to the same process.
 */
const ECHO_MILLIS = 250

/**
 * On SIGTERM or SIGINT: flushes and shuts down within the deadline, then ends the process by the same signal, so that
 * its parent sees what it would have seen, 128 + n in a shell. A second signal ends it at once.
 *
 * Where others listen for the signal, too, ending the process is their job: what has ended is flushed at once, and the
 * shutdown comes when they are through, be it that nothing is left to do (a server that was closed has drained) or
 * that they call `process.exit`, which waits for it and keeps its code.
 *
 * Worker threads get no signals. Called in one, it shuts down when the main thread does, which has to call it, too
 * (if need be with `[]`), and waits for them. The primary of a cluster passes the signal on to its workers and waits.
 *
 * @param targets - Processors, tracer providers, a `NodeSDK`; one, or an array.
 * @returns Stops it.
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { shutdownOnSignal } from 'tailrace/node'
 *
 * const server = createServer((_request, response) => response.end('hello')).listen(8080)
 * process.once('SIGTERM', () => server.close())
 * shutdownOnSignal(processor)
 * ```
 */
export function shutdownOnSignal(
  targets: OneOrMore<Closable>,
  options: ShutdownOnSignalOptions = {},
): Disposer {
  const helper = 'shutdownOnSignal'
  const list = readTargets(helper, targets, 'shutdown')
  checkOptions(helper, options, ['signals', 'timeoutMillis', 'onDone'])
  const timeoutMillis = readMillis(helper, 'timeoutMillis', options.timeoutMillis, 8000)
  const signals = readSignals(options.signals)
  const { onDone } = options
  if (onDone !== undefined) checkFunction(helper, 'onDone', onDone)
  const ending = new Ending(list, onDone)
  if (!isMainThread) {
    return disposer(listenToMainThread((millis) => ending.run(undefined, Math.min(millis, timeoutMillis))))
  }
  const watch = new SignalWatch(ending, signals, timeoutMillis)
  return disposer(() => watch.stop())
}

/**
 * Flushes once when nothing is left to do, so that a script that just ends loses nothing. Keeps the exit code. It cannot
 * help against `process.exit()`, an uncaught exception or a signal. Inside a Lambda runtime, which empties its event
 * loop after every invocation, it does nothing.
 *
 * @param targets - Processors or tracer providers; one, or an array.
 * @returns Stops it.
 * @throws TypeError | RangeError that names the option and its value.
 *
 * @example
 * ```ts
 * import { flushBeforeExit } from 'tailrace/node'
 *
 * flushBeforeExit(processor)
 * ```
 */
export function flushBeforeExit(
  targets: OneOrMore<Flushable>,
  options: FlushBeforeExitOptions = {},
): Disposer {
  const helper = 'flushBeforeExit'
  const list = readTargets(helper, targets, 'forceFlush')
  checkOptions(helper, options, ['timeoutMillis'])
  const timeoutMillis = readMillis(helper, 'timeoutMillis', options.timeoutMillis, 2000)
  if (process.env.AWS_LAMBDA_RUNTIME_API !== undefined) return disposer(() => {})
  const listener = async () => {
    const statuses = await Promise.all(list.map((target) => target.flush(timeoutMillis)))
    if (!statuses.includes('timeout')) return
    // What is left of our own connections would keep the process alive.
    for (const target of list) if (target.processor) target.shutdown(0)
    endUnlessOthersWork()
  }
  // It comes again and again, while listeners give the process something to do.
  process.once('beforeExit', listener)
  return disposer(() => process.off('beforeExit', listener))
}

/** Shuts everything down, once. */
class Ending {
  readonly #targets: readonly ClosableTarget[]
  readonly #onDone: ShutdownOnSignalOptions['onDone']
  #result: Promise<FlushStatus> | undefined

  constructor(targets: readonly ClosableTarget[], onDone: ShutdownOnSignalOptions['onDone']) {
    this.#targets = targets
    this.#onDone = onDone
  }

  /** Begins to send what has ended by now. With others nobody knows how long their timers keep the process alive. */
  begin(): void {
    for (const target of this.#targets) if (target.processor) target.flush(0)
  }

  /** @param others - Work of others that belongs to it. */
  run(
    signal: NodeJS.Signals | undefined,
    timeoutMillis: number,
    others: () => Promise<FlushStatus>[] = () => [],
  ): Promise<FlushStatus> {
    this.#result ??= this.#run(signal, timeoutMillis, others)
    return this.#result
  }

  async #run(
    signal: NodeJS.Signals | undefined,
    timeoutMillis: number,
    others: () => Promise<FlushStatus>[],
  ): Promise<FlushStatus> {
    const startedAt = performance.now()
    const own = this.#targets.map((target) => flushAndShutdown(target, timeoutMillis))
    const status = worstOf(await Promise.all([...own, ...others()]))
    const durationMillis = performance.now() - startedAt
    const leftMillis = Math.max(0, timeoutMillis - durationMillis)
    const done = { signal, status, durationMillis }
    await within(
      leftMillis,
      () => this.#onDone?.(done),
      (problem) => warn(`onDone ${problem}`),
    )
    return status
  }
}

async function flushAndShutdown(target: ClosableTarget, timeoutMillis: number): Promise<FlushStatus> {
  const endsAt = performance.now() + timeoutMillis
  const flushed = await target.flush(timeoutMillis)
  const ended = await target.shutdown(Math.max(0, endsAt - performance.now()))
  return worstOf([flushed, ended])
}

/** Listens for signals in the main thread. */
class SignalWatch {
  readonly #ending: Ending
  readonly #signals: readonly NodeJS.Signals[]
  readonly #timeoutMillis: number
  readonly #threads = new ListeningThreads()
  readonly #stopWatchingPrimary = onPrimaryGone(() => this.#whenOthersAreThrough(undefined))
  readonly #listener = asOurs((signal: NodeJS.Signals) => this.#onSignal(signal))
  /** Set from the first signal on. */
  #hold: ExitHold | undefined
  #first: { readonly signal: NodeJS.Signals; readonly at: number } | undefined
  #onBeforeExit = () => {}

  constructor(ending: Ending, signals: readonly NodeJS.Signals[], timeoutMillis: number) {
    this.#ending = ending
    this.#signals = signals
    this.#timeoutMillis = timeoutMillis
    // First in the row, so that those who listen once are still there to be counted.
    for (const signal of signals) process.prependListener(signal, this.#listener)
  }

  stop(): void {
    for (const signal of this.#signals) process.off(signal, this.#listener)
    process.off('beforeExit', this.#onBeforeExit)
    this.#stopWatchingPrimary()
    this.#threads.close()
    this.#hold?.release()
  }

  #onSignal(signal: NodeJS.Signals): void {
    const at = performance.now()
    if (this.#first !== undefined) {
      const isEcho = signal === this.#first.signal && at - this.#first.at < ECHO_MILLIS
      if (!isEcho) this.#giveUp(signal)
      return
    }
    this.#first = { signal, at }
    if (hasOtherListeners(signal)) this.#whenOthersAreThrough(signal)
    else this.#endBy(signal)
  }

  async #endBy(signal: NodeJS.Signals): Promise<void> {
    this.#hold = holdExit(() => this.#run(signal))
    const others = () => [
      this.#threads.shutdown(this.#timeoutMillis),
      endClusterWorkers(signal, this.#timeoutMillis),
    ]
    await this.#ending.run(signal, this.#timeoutMillis, others)
    const { isLeaving } = this.#hold
    this.stop()
    if (!isLeaving) raise(signal)
  }

  #whenOthersAreThrough(signal: NodeJS.Signals | undefined): void {
    if (this.#hold !== undefined) return
    this.#ending.begin()
    this.#hold = holdExit(() => this.#run(signal))
    this.#onBeforeExit = async () => {
      const status = await this.#run(signal)
      const isLeaving = this.#hold?.isLeaving
      this.stop()
      if (status === 'timeout' && !isLeaving) endUnlessOthersWork()
    }
    process.once('beforeExit', this.#onBeforeExit)
  }

  #run(signal: NodeJS.Signals | undefined): Promise<FlushStatus> {
    return this.#ending.run(signal, this.#timeoutMillis, () => [this.#threads.shutdown(this.#timeoutMillis)])
  }

  /** Somebody is out of patience. */
  #giveUp(signal: NodeJS.Signals): void {
    this.stop()
    this.#hold?.abandon()
    raise(signal)
  }
}

/**
 * Nothing was left to do but what timed out: a provider's timers and sockets must not hold up the end for longer. Other
 * listeners may have begun to work meanwhile, though.
 */
function endUnlessOthersWork(): void {
  if (process.listenerCount('beforeExit') === 0) process.exit()
}

function readTargets(helper: string, targets: unknown, method: string): readonly ClosableTarget[] {
  const list: readonly unknown[] = Array.isArray(targets) ? targets : [targets]
  return list.map((target, index) => {
    if (hasMethods(target, method) || hasMethods(target, 'getDelegate')) return new ClosableTarget(target)
    const name = Array.isArray(targets) ? `processorOrProvider[${index}]` : 'processorOrProvider'
    throw wrong(helper, name, `a processor or provider with ${method}`, target)
  })
}

function readSignals(signals: unknown = ['SIGTERM', 'SIGINT']): readonly NodeJS.Signals[] {
  const wrongSignals = (expected: string, value: unknown, Type?: RangeErrorConstructor) =>
    wrong('shutdownOnSignal', 'signals', expected, value, Type)
  if (!Array.isArray(signals)) throw wrongSignals('an array of names of signals', signals)
  if (signals.length === 0) throw wrongSignals('an array of at least one signal', '[]', RangeError)
  for (const signal of signals) {
    const isKnown = typeof signal === 'string' && Object.hasOwn(constants.signals, signal)
    if (!isKnown || signal === 'SIGKILL' || signal === 'SIGSTOP') {
      throw wrongSignals('names of signals that can be listened for', signal, RangeError)
    }
  }
  return [...new Set<NodeJS.Signals>(signals)]
}
