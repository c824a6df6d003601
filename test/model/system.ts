/** The processor under test on a simulated clock, with the model looking on: after every event, not only every command. */

import { BatchSpanProcessor } from '../../src/processor.ts'
import type { FlushResult, PipelineStats } from '../../src/types.ts'
import {
  type CollectorListener,
  collectorExporter,
  meaningOf,
  modelSpan,
  type OutcomeKind,
  type Reply,
  type Request,
} from './collector.ts'
import type { CommandKind } from './commands.ts'
import type { ExpectedCall } from './expected-calls.ts'
import { Model, type ModelAttempt, type Sight } from './model.ts'
import { optionsOf, type Settings } from './settings.ts'
import { SimulatedClock, turn } from './simulated-clock.ts'

/** What the collector does with what comes next. */
export interface Behaviour {
  /** Nothing: it waits to be told. */
  readonly reply: Reply | undefined
  /** How long the answer takes, in milliseconds; −1: it is there before anything else can happen. */
  readonly latencyMillis: number
  readonly ignoresAbort: boolean
}

/** What the last export came to, in the terms of the report. */
export type SeenOutcome = OutcomeKind | 'nothing sent' | 'timed out' | 'left behind' | 'never called back'

interface PendingRequest {
  readonly request: Request
  readonly attempt: ModelAttempt
  reply: Reply | undefined
  isAnswered: boolean
}

interface OpenFlush {
  readonly call: ExpectedCall
  readonly controller: AbortController
}

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

const DELIVERS: Behaviour = {
  reply: { kind: 'delivered', rejected: 0, retryAfterMillis: 0 },
  latencyMillis: 0,
  ignoresAbort: false,
}

/** So much of what happened is told with a failure. */
const HISTORY_LINES = 60

const costs = new Map<string, number>()

export class System implements CollectorListener {
  readonly model: Model
  readonly clock: SimulatedClock
  readonly settings: Settings
  /** When the process last stood still. */
  thawedAt = 0
  /** Commands that were run. */
  commandCount = 0
  /** Told of each command before it runs. */
  onCommand: (kind: CommandKind) => void = () => {}
  lastOutcome: SeenOutcome = 'nothing sent'
  behaviour: Behaviour = { ...DELIVERS, reply: undefined }
  readonly flushes: OpenFlush[] = []
  readonly openSpanIds: string[] = []
  #requests: PendingRequest[] = []
  readonly #processor: BatchSpanProcessor
  readonly #dropsTold = new Map<string, number>()
  readonly #history: string[] = []
  #nextId = 0
  #isEnding = false
  #shutdownCount = 0
  #flushCount = 0

  constructor(settings: Settings) {
    this.settings = settings
    this.model = new Model(settings)
    this.clock = new SimulatedClock(settings.hasNumericTimers)
    this.clock.onPassing = (now) => this.model.timePassed(now)
    this.clock.install()
    this.#processor = new BatchSpanProcessor(collectorExporter(settings, this), {
      ...optionsOf(settings),
      onDrop: ({ reason, count }) => {
        if (this.#isEnding) this.model.violate('onDrop was called from within span.end()')
        this.#dropsTold.set(reason, (this.#dropsTold.get(reason) ?? 0) + count)
        if (settings.callbacksThrow) throw new Error('onDrop broke')
      },
      onError: () => {
        if (settings.callbacksThrow) throw new Error('onError broke')
      },
    })
  }

  begin(kind: CommandKind, detail: string): void {
    this.commandCount++
    this.#note(`> ${kind} ${detail}`)
    this.onCommand(kind)
  }

  // ── What a command can do ─────────────────────────────────────────────────────────────────────────────────────

  endSpans(count: number, size: number, parts: { isRoot?: boolean; isPoison?: boolean } = {}): void {
    for (let i = 0; i < count; i++) this.#end(size, parts)
  }

  endUnsampled(): void {
    const span = modelSpan(this.#nextId, 20, {})
    this.#processor.onEnd({ ...span, spanContext: () => ({ ...span.spanContext(), traceFlags: 0 }) })
  }

  startSpan(): void {
    const spanId = `${this.#nextId++}`.padStart(16, 'c')
    this.openSpanIds.push(spanId)
    this.model.openSpanIds.add(spanId)
    this.#processor.onStart(modelSpan(0, 8, { spanId }))
  }

  endOpenSpan(): void {
    const spanId = this.openSpanIds.shift()!
    this.#end(30, { spanId })
  }

  flush(timeoutMillis: number, { waits = false, isAborted = false } = {}): void {
    const controller = new AbortController()
    if (isAborted) controller.abort()
    const isImmediate = timeoutMillis === 0 || isAborted
    const { now } = this.clock
    const call = this.model.calling(now, { isShutdown: false, isImmediate, timeoutMillis, waits })
    const flushCount = this.#flushCount
    const promise = this.#processor.flush({
      timeoutMillis,
      signal: controller.signal,
      openSpans: waits ? 'wait' : 'ignore',
    })
    this.#called(call, promise, (result) => {
      // One that hangs may have begun before, and is joined.
      const hasFlush = this.settings.forceFlush !== 'absent' && this.settings.forceFlush !== 'hangs'
      const owesFlush = hasFlush && !isImmediate && !call.isAborted && !this.model.isShutDown
      if (result?.status === 'success' && owesFlush && this.#flushCount === flushCount) {
        this.model.violate("a flush succeeded without the exporter's own")
      }
    })
    this.flushes.push({ call, controller })
  }

  abort(): void {
    const { call, controller } = this.openFlushes[0]
    call.isAborted = true
    controller.abort()
    this.#lookNow()
  }

  shutdown(timeoutMillis: number): void {
    const isImmediate = timeoutMillis === 0
    const { now } = this.clock
    const call = this.model.calling(now, { isShutdown: true, isImmediate, timeoutMillis, waits: false })
    const promise = this.#processor.shutdown({ timeoutMillis }).then(() => undefined)
    this.#called(call, promise, () => {})
  }

  /** Answers the export in flight. */
  answer(reply: Reply): void {
    this.#answer(this.inFlight!, reply)
  }

  /** Answers an export that nobody waits for any more. */
  answerLate(reply: Reply): void {
    this.#answer(this.leftBehind!, reply)
  }

  async advance(millis: number): Promise<void> {
    await this.clock.advance(millis, () => this.settle())
  }

  async freeze(millis: number): Promise<void> {
    this.model.froze(millis)
    await this.clock.freeze(millis, () => this.settle())
    this.thawedAt = this.clock.now
  }

  // ── What a command can ask ────────────────────────────────────────────────────────────────────────────────────

  get inFlight(): PendingRequest | undefined {
    return this.#requests.find((pending) => !pending.isAnswered && this.model.isListeningTo(pending.attempt))
  }

  get leftBehind(): PendingRequest | undefined {
    return this.#requests.find((pending) => !pending.isAnswered && !this.model.isListeningTo(pending.attempt))
  }

  get openFlushes(): OpenFlush[] {
    return this.flushes.filter(({ call }) => call.result === undefined)
  }

  // ── The collector's side ──────────────────────────────────────────────────────────────────────────────────────

  received(request: Request, timeoutMillis: number | undefined): Reply | undefined {
    if (this.#isEnding) this.model.violate('the exporter was called from within span.end()')
    this.#note(`send [${request.ids}] within ${timeoutMillis}`)
    const { reply, latencyMillis, ignoresAbort } = this.behaviour
    const attempt = this.model.attemptStarted(request.ids, timeoutMillis, this.#see(false))
    const pending: PendingRequest = { request, attempt, reply, isAnswered: false }
    this.#requests.push(pending)
    request.signal?.addEventListener('abort', () => {
      this.#note('aborted')
      // A shutdown gives everything up first: what is answered then is too late.
      this.#lookNow()
      this.model.attemptAborted(attempt, this.clock.now)
      if (!ignoresAbort) this.#timeOut(pending)
    })
    if (reply?.kind === 'throws') {
      pending.isAnswered = true
      queueMicrotask(() => this.#hear(pending, reply))
      return reply
    }
    if (reply !== undefined && latencyMillis < 0) queueMicrotask(() => this.#answer(pending, reply))
    if (reply !== undefined && latencyMillis > 0) {
      this.clock.later(() => this.#answer(pending, reply), latencyMillis)
      pending.reply = undefined
    }
    return undefined
  }

  flushed(): void {
    this.#flushCount++
  }

  shutDown(): void {
    this.#shutdownCount++
  }

  #answer(pending: PendingRequest, reply: Reply): void {
    if (pending.isAnswered) return
    pending.isAnswered = true
    this.#hear(pending, reply)
    pending.request.answer(reply)
  }

  #hear(pending: PendingRequest, reply: Reply): void {
    this.#note(`answer ${reply.kind}`)
    if (this.model.answered(pending.attempt, meaningOf(reply), this.clock.now)) this.lastOutcome = reply.kind
  }

  #timeOut(pending: PendingRequest): void {
    if (pending.isAnswered) return
    pending.isAnswered = true
    if (this.model.answered(pending.attempt, { kind: 'retryable' }, this.clock.now))
      this.lastOutcome = 'timed out'
    pending.request.answer({ kind: 'retryable', rejected: 0, retryAfterMillis: 0 })
  }

  // ── Looking on ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lets everything run that can, and holds it against the model. */
  async settle(): Promise<void> {
    for (let answers = 0; ; answers++) {
      await turn()
      this.clock.rested()
      this.#look(this.#see(this.clock.isQuiet))
      const due = this.#requests.find((pending) => !pending.isAnswered && pending.reply !== undefined)
      if (due?.reply === undefined) break
      if (answers > 1000) throw new Error('the loop never comes to rest')
      this.#answer(due, due.reply)
    }
    this.#requests = this.#requests.filter((pending) => !pending.isAnswered)
  }

  /**
   * The end of every sequence: the collector is well again, and everything that is still held gets there. Then a
   * shutdown, after which nothing is left.
   */
  async finish(): Promise<void> {
    this.behaviour = DELIVERS
    if (this.inFlight) this.answer(DELIVERS.reply!)
    await this.settle()
    if (!this.model.isShutDown) {
      // Nobody waits for the breaker, but somebody has to ask for what no schedule sends.
      for (let i = 0; i < 20 && this.model.places.pending > 0; i++) {
        this.flush(60_000)
        await this.settle()
        await this.advance(65_000)
      }
      if (this.model.places.pending > 0) this.model.violate('spans are held for ever')
    }
    this.shutdown(1000)
    await this.settle()
    await this.advance(70_000)
    this.endSpans(2, 20)
    this.flush(1000)
    await this.settle()
    await this.advance(1000)
    if (this.model.calls.open.size > 0) this.model.violate('a call never ended')
    if (!this.model.isClosed) this.model.violate('the shutdown never ended')
    this.#fail()
  }

  dispose(): void {
    this.clock.uninstall()
  }

  #called(
    call: ExpectedCall,
    promise: Promise<FlushResult | undefined>,
    onResult: (result: FlushResult | undefined) => void,
  ): void {
    this.#lookNow()
    this.model.called(call)
    promise.then(
      (result) => {
        this.#note(`settled ${result === undefined ? 'shutdown' : result.status}`)
        onResult(result)
        this.model.settled(call, result)
      },
      (cause) => {
        this.model.violate(`a call rejected: ${cause}`)
        this.model.settled(call, undefined)
      },
    )
  }

  #end(size: number, parts: { isRoot?: boolean; isPoison?: boolean; spanId?: string }): void {
    const id = this.#nextId++
    const { spanId } = parts
    const trace = traceOf(id)
    const isError = id % 11 === 3
    const span = modelSpan(id, size, { ...parts, isError, trace })
    if (spanId !== undefined) this.model.openSpanEnded(spanId)
    const costs = { fresh: this.#freshCost(size), taken: this.#takenCost(size) }
    const isRoot = parts.isRoot ?? false
    const { isPoison = false } = parts
    this.model.spanEnded({ id, trace, isImportant: isRoot || isError, costs, isPoison }, isRoot)
    if (spanId !== undefined) this.model.openSpanSettled(spanId)
    this.#isEnding = true
    this.#processor.onEnd(span)
    this.#isEnding = false
    this.#lookNow()
  }

  /** What a waiting span costs is its record, or an estimate; the estimate is measured, not computed once more. */
  #freshCost(size: number): number {
    return this.settings.exporter === 'encoding' && this.settings.encodeAt === 'end'
      ? size
      : estimatedCost(size)
  }

  #takenCost(size: number): number {
    return this.settings.exporter === 'encoding' ? size : estimatedCost(size)
  }

  #see(isQuiet: boolean): Sight {
    return {
      now: this.clock.now,
      stats: this.#processor.stats(),
      isQuiet,
      timerCount: this.clock.timerCount,
      refedTimerCount: this.clock.refedTimerCount,
      shutdownCount: this.#shutdownCount,
    }
  }

  #lookNow(): void {
    this.#look(this.#see(false))
  }

  #look(sight: Sight): void {
    this.model.look(sight)
    if (this.model.timeout !== undefined) this.lastOutcome = this.model.timeout
    this.model.timeout = undefined
    if (sight.isQuiet) this.#checkDropsTold(sight.stats)
    for (const reason of unhandled.splice(0)) this.model.violate(`unhandled rejection: ${reason}`)
    this.#fail()
  }

  #checkDropsTold({ dropped }: PipelineStats): void {
    for (const [reason, count] of Object.entries(dropped)) {
      const told = this.#dropsTold.get(reason) ?? 0
      if (told !== count) this.model.violate(`onDrop was told of ${told} spans (${reason}), not of ${count}`)
    }
  }

  #note(event: string): void {
    this.#history.push(`${String(this.clock.now).padStart(8)} ${event}`)
  }

  #fail(): void {
    const { violations } = this.model
    if (violations.length === 0) return
    throw new Error(
      `${[...new Set(violations)].join('; ')}\n${this.#history.slice(-HISTORY_LINES).join('\n')}`,
    )
  }
}

/** Five traces at a time, three spans each, in turn. */
function traceOf(id: number): number {
  return Math.floor(id / 15) * 5 + (id % 5)
}

function estimatedCost(size: number): number {
  const key = `${size}`
  const known = costs.get(key)
  if (known !== undefined) return known
  const processor = new BatchSpanProcessor(
    { export() {}, shutdown: async () => {} },
    { scheduledDelayMillis: 0, maxQueueSize: 2, maxExportBatchSize: 2 },
  )
  processor.onEnd(modelSpan(0, size, {}))
  const { pendingBytes } = processor.stats()
  costs.set(key, pendingBytes)
  return pendingBytes
}
