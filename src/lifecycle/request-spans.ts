/**
 * Finds out which spans belong to one request, and when the last of them has ended. A span belongs to the request of its
 * parent; one whose parent is remote, unknown or missing begins another.
 *
 *     open span ids ──► Request { how many are open, who keeps its environment alive }
 */
import { type Context, TraceFlags } from '@opentelemetry/api'
import type { FlushOptions, PipelineStats, ReadableSpan } from '../types.ts'
import { hasMethods, wrong } from './checks.ts'
import { Drain, MAX_HOLD_MILLIS } from './drain.ts'
import type { FlushableProcessor } from './target.ts'
import { startTimer } from './timer.ts'

/** A span as the SDK hands it to `onStart`. */
type StartedSpan = Pick<ReadableSpan, 'spanContext' | 'parentSpanContext' | 'parentSpanId'>

/** A `BatchSpanProcessor` of ours, as far as it is passed on. */
export interface RequestSpanProcessor extends FlushableProcessor {
  onStart(span: StartedSpan, parentContext?: Context): void
  onEnd(span: ReadableSpan): void
  shutdown(options?: FlushOptions): Promise<void>
  stats(): PipelineStats
}

/** Spans that are never ended must not fill the memory. */
const MAX_TRACKED = 65_536

/** The spans of one request that are open. */
class Request {
  open = 0
  isKeptAlive = false
  readonly flushed: Promise<void>
  finish: () => void = () => {}
  isFinished = false

  /** @param limitMillis - After this time it counts as finished: spans may be forgotten, and platforms lose patience. */
  constructor(limitMillis: number, flush: () => Promise<void>) {
    const finished = new Promise<void>((resolve) => {
      const timer = startTimer(() => this.finish(), limitMillis, false)
      this.finish = () => {
        this.isFinished = true
        timer.cancel()
        resolve()
      }
    })
    this.flushed = finished.then(flush)
  }
}

/** Passes everything on to a processor of ours, and flushes it when a request's last span has ended. */
export class EachRequest implements RequestSpanProcessor {
  readonly #processor: RequestSpanProcessor
  readonly #keepAlive: (promise: Promise<unknown>) => boolean
  readonly #openRequest: () => Request
  readonly #requests = new Map<string, Request>()

  /**
   * @param keepAlive - Whether somebody keeps the environment of the running request alive until the promise has settled.
   * @throws TypeError | RangeError that names the option and its value.
   */
  constructor(
    processor: RequestSpanProcessor,
    timeoutMillis: number | undefined,
    keepAlive: (promise: Promise<unknown>) => boolean,
  ) {
    if (!hasMethods(processor, 'onStart', 'onEnd', 'flush', 'forceFlush', 'shutdown', 'stats')) {
      throw wrong('flushEachRequest', 'processor', "a BatchSpanProcessor of 'tailrace'", processor)
    }
    const drain = new Drain('flushEachRequest', { processor, timeoutMillis })
    this.#processor = processor
    this.#keepAlive = keepAlive
    const limitMillis = MAX_HOLD_MILLIS - drain.timeoutMillis
    this.#openRequest = () => new Request(limitMillis, () => drain.flush())
  }

  onStart(span: StartedSpan, parentContext?: Context): void {
    this.#processor.onStart(span, parentContext)
    try {
      const { spanId, traceFlags } = span.spanContext()
      if ((traceFlags & TraceFlags.SAMPLED) === 0) return
      if (this.#requests.size >= MAX_TRACKED) this.#requests.clear()
      const parentId = span.parentSpanContext?.spanId ?? span.parentSpanId
      const parent = parentId === undefined ? undefined : this.#requests.get(parentId)
      const request = parent === undefined || parent.isFinished ? this.#openRequest() : parent
      request.open++
      this.#requests.set(spanId, request)
      this.#keep(request)
    } catch {
      // Something that is no span. The processor's own timer sends what comes of it.
    }
  }

  onEnd(span: ReadableSpan): void {
    this.#processor.onEnd(span)
    try {
      const { spanId, traceFlags } = span.spanContext()
      if ((traceFlags & TraceFlags.SAMPLED) === 0) return
      const known = this.#requests.get(spanId)
      this.#requests.delete(spanId)
      // One that outlived its request, or was forgotten, is a request of its own.
      const request = known === undefined || known.isFinished ? this.#openRequest() : known
      if (request === known) request.open--
      this.#keep(request)
      if (request.open === 0) request.finish()
    } catch {
      // As above.
    }
  }

  flush(options?: FlushOptions): ReturnType<RequestSpanProcessor['flush']> {
    return this.#processor.flush(options)
  }

  forceFlush(options?: FlushOptions): Promise<void> {
    return this.#processor.forceFlush(options)
  }

  shutdown(options?: FlushOptions): Promise<void> {
    return this.#processor.shutdown(options)
  }

  stats(): PipelineStats {
    return this.#processor.stats()
  }

  /** Not every span starts where the platform can be asked, so each of them tries until one succeeds. */
  #keep(request: Request): void {
    if (!request.isKeptAlive) request.isKeptAlive = this.#keepAlive(request.flushed)
  }
}
