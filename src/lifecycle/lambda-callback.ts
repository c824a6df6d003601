/**
 * Handlers that answer through a callback, or through `context.done`, `succeed` and `fail`: what the runtime client of
 * Node.js up to 22 still allows.
 */
import { answerOnEmptyLoop, beforeEmptyLoopAnswer } from './lambda-event-loop.ts'
import type { Invocation } from './lambda-invocation.ts'
import type { RootSpan } from './lambda-root-span.ts'

/** The callback as the runtime client gives it. */
export type LambdaCallback = (error?: unknown, result?: unknown) => unknown

/** The ways by which a context answers, with how to find the error in their arguments. */
const ANSWERS = {
  done: (error: unknown) => failureOf(error),
  fail: (error: unknown) => ({ error }),
  succeed: () => undefined,
} as const

interface AnsweringContext extends Partial<Record<keyof typeof ANSWERS, (...args: unknown[]) => unknown>> {
  readonly callbackWaitsForEmptyEventLoop?: boolean
}

/** Sees to it that each answer of one invocation waits for its flush. */
export class CallbackAnswers {
  readonly #invocation: Invocation
  readonly #rootSpan: RootSpan
  readonly #context: AnsweringContext
  #hasAnswered = false
  #passesThrough = false

  /** Replaces the methods of `context` that answer: it is a new one for each invocation. */
  constructor(invocation: Invocation, rootSpan: RootSpan, context: unknown) {
    this.#invocation = invocation
    this.#rootSpan = rootSpan
    this.#context = typeof context === 'object' && context !== null ? context : {}
    for (const [name, failure] of Object.entries(ANSWERS)) {
      const answer = this.#context[name as keyof typeof ANSWERS]
      if (typeof answer !== 'function') continue
      this.#context[name as keyof typeof ANSWERS] = (...args) =>
        this.#answer(failure(args[0]), false, () => answer.apply(this.#context, args))
    }
  }

  /** The callback to give to the handler. */
  wrap(callback: LambdaCallback): LambdaCallback {
    return (...args) => {
      const failure = failureOf(args[0])
      // An error is answered at once.
      const waitsForLoop = !failure && this.#context.callbackWaitsForEmptyEventLoop !== false
      return this.#answer(failure, waitsForLoop, () => callback(...args))
    }
  }

  /** The handler's promise is settled, and what it left behind is seen to: the runtime client answers through us. */
  passThrough(): void {
    this.#passesThrough = true
  }

  /** The handler has returned, with no promise. If it never answers, the runtime client does when nothing is left. */
  returned(): void {
    if (this.#hasAnswered) return
    beforeEmptyLoopAnswer((answer) => this.#answer(undefined, false, answer))
  }

  #answer(failure: { error: unknown } | undefined, waitsForLoop: boolean, answer: () => unknown): void {
    this.#hasAnswered = true
    if (this.#passesThrough) {
      answer()
      return
    }
    this.#rootSpan.end(failure)
    if (!waitsForLoop) {
      const flushed = this.#invocation.settle()
      if (flushed) flushed.then(answer)
      else answer()
      return
    }
    const afterAnswer = (done: () => void) => {
      // By then the runtime client has been told, even if an instrumentation stands between it and us.
      setImmediate(() => answerOnEmptyLoop(() => this.#invocation.isExporting, done))
    }
    const flushed = this.#invocation.settle((drain) =>
      afterAnswer(() => setImmediate(() => setImmediate(drain))),
    )
    if (flushed) flushed.then(answer).then(() => afterAnswer(() => {}))
    else answer()
  }
}

function failureOf(error: unknown): { error: unknown } | undefined {
  return error === undefined || error === null ? undefined : { error }
}
