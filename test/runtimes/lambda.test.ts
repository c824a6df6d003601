import { setTimeout as elapsed } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Invoked } from '../helpers/lambda-environment.ts'
import { type Deployment, describeInLambda, withFunction } from '../helpers/lambda-function.ts'
import { answers, type Behaviour } from '../helpers/misbehaving-collector.ts'
import { answersAfter, hangsAfterReading, resetsAfterReading } from '../helpers/misbehaviours.ts'

import type { Order } from '../programs/lambda-function.ts'

const source = 'programs/lambda-function.ts'
const MODES = ['before-response', 'after-response'] as const

/** What the caller gets, without what differs from run to run. */
function answerOf({ kind, body, trailers }: Invoked): unknown {
  if (kind === 'error') {
    const { errorType, errorMessage } = JSON.parse(body)
    return { kind, errorType, errorMessage }
  }
  return { kind, body: body.replace(/"at":[\d.]+/, '"at":0'), trailers: Object.keys(trailers).length > 1 }
}

/** The lines that the handler logged, without times and request ids. */
function handlersLog(output: string): string[] {
  return output.split('\n').flatMap((line) => /\tINFO\t(working on .*)$/.exec(line)?.[1] ?? [])
}

describeInLambda('spans leave before the freeze', () => {
  test.each(MODES)(
    'B50: %s: after each of 200 invocations all of its spans are at the collector',
    {
      timeout: 180_000,
    },
    async (mode) => {
      await withFunction({ source, env: { MODE: mode } }, async ({ environment, collector }) => {
        await expect.poll(() => environment.isStopped).toBe(true)
        const random = seeded(50)
        for (let i = 1; i <= 200; i++) {
          const spans = Math.floor(random() * 20)
          const { requestId, kind } = await environment.invoke({ spans, takesMillis: random() < 0.2 ? 5 : 0 })
          // The process stands still, or will in an instant: what is not here now would come with the next invocation.
          expect(kind).toBe('response')
          expect(collector.spansOf(requestId), `invocation ${i}`).toHaveLength(spans + 1)
          expect(environment.freezes).toBe(i + 1)
          if (random() < 0.1) await collector.closeConnections()
          // Up to what the processor takes for late, and now and then longer than what it takes for a freeze.
          await elapsed(i % 40 === 0 ? 2500 : random() * 25)
        }
        expect(environment.extensions).toHaveLength(mode === 'after-response' ? 1 : 0)
      })
    },
  )
})

describeInLambda('the handler keeps its outcome', () => {
  const cases: [exported: string, outcomes: NonNullable<Order['outcome']>[]][] = [
    ['handler', ['value', 'undefined', 'error', 'string']],
    ['synchronous', ['value', 'error']],
    ['streaming', ['value', 'error']],
    ['streamingOutside', ['value', 'error']],
  ]
  const backends: [what: string, behaviour: Behaviour | 'down'][] = [
    ['answers', answers(200)],
    ['hangs', hangsAfterReading()],
    ['breaks the connection', resetsAfterReading()],
    ['answers 500', answers(500)],
    ['is down', 'down'],
  ]

  async function outcomesOf(
    deployment: Omit<Deployment, 'source'>,
    outcomes: NonNullable<Order['outcome']>[],
    behaviour: Behaviour | 'down',
  ): Promise<unknown> {
    return withFunction({ source, ...deployment }, async ({ environment, collector }) => {
      if (behaviour === 'down') await collector.stop()
      else collector.requests.otherwise(behaviour)
      const invocations: unknown[] = []
      for (const outcome of outcomes) {
        // Twice: the second one finds what the first one has left behind.
        for (let i = 0; i < 2; i++) invocations.push(answerOf(await environment.invoke({ outcome })))
      }
      return { invocations, log: handlersLog(environment.output) }
    })
  }

  test.each(cases)(
    'B14, B50: %s: result, error and log are the same as unwrapped, whatever the backend does',
    async (exported, outcomes) => {
      const unwrapped = await outcomesOf({ exported, env: { MODE: 'unwrapped' } }, outcomes, answers(200))
      expect(unwrapped).toMatchObject({
        log: { length: exported === 'synchronous' ? 0 : 2 * outcomes.length },
      })
      for (const mode of MODES) {
        for (const [what, behaviour] of backends) {
          const env = { MODE: mode, TIMEOUT_MILLIS: '50' }
          const wrapped = await outcomesOf({ exported, env }, outcomes, behaviour)
          expect(wrapped, `${mode}, the backend ${what}`).toEqual(unwrapped)
        }
      }
    },
  )

  test('B50: a streamed response arrives chunk by chunk, its failure in the trailers, and its spans before the freeze', async () => {
    for (const [exported, mode] of [
      ['streaming', 'before-response'],
      ['streaming', 'after-response'],
      ['streamingOutside', 'after-response'],
    ] as const) {
      await withFunction({ source, exported, env: { MODE: mode } }, async (running) => {
        const good = await running.environment.invoke({ spans: 2 })
        expect(good.body).toBe('chunk 0\nchunk 1\nchunk 2\n')
        expect(running.collector.spansOf(good.requestId).sort()).toEqual(['0', '1', 'root'])
        const bad = await running.environment.invoke({ outcome: 'error' })
        expect(bad.trailers['lambda-runtime-function-error-type']).toBe('CardDeclined')
        expect(running.collector.spansOf(bad.requestId).sort()).toEqual(['0', 'root'])
      })
    }
  })
})

describeInLambda('the budget', () => {
  test('B50: before-response: a backend that hangs delays the response by timeoutMillis, and no more', async () => {
    const env = { TIMEOUT_MILLIS: '300' }
    await withFunction({ source, env }, async ({ environment, collector }) => {
      collector.requests.otherwise(hangsAfterReading())
      for (let i = 0; i < 3; i++) {
        const { kind, responseMillis } = await environment.invoke({})
        expect(kind).toBe('response')
        expect(responseMillis).toBeGreaterThanOrEqual(295)
        expect(responseMillis).toBeLessThan(1500)
      }
    })
  })

  test('B50: before-response: with little time left the flush ends marginMillis before the function does', async () => {
    const env = { TIMEOUT_MILLIS: '60000', MARGIN_MILLIS: '500' }
    await withFunction({ source, env, timeoutMillis: 1500 }, async ({ environment, collector }) => {
      collector.requests.otherwise(hangsAfterReading())
      const { kind, responseMillis } = await environment.invoke({ takesMillis: 200 })
      expect(kind).toBe('response')
      expect(responseMillis).toBeGreaterThan(900)
      expect(responseMillis).toBeLessThan(1500)
      // What could not be sent is sent when it can be.
      collector.requests.otherwise(answers(200))
      await collector.closeConnections()
      const next = await environment.invoke({})
      expect(collector.spansOf(next.requestId)).toContain('root')
    })
  })

  test('B50: after-response: a backend that hangs delays nothing but the next invocation, within the budget', async () => {
    const env = { MODE: 'after-response', TIMEOUT_MILLIS: '400' }
    await withFunction({ source, env }, async ({ environment, collector }) => {
      await environment.invoke({}) // The first one of a process takes its time.
      collector.requests.otherwise(hangsAfterReading())
      for (let i = 0; i < 3; i++) {
        const { kind, responseMillis, acceptedMillis } = await environment.invoke({})
        expect(kind).toBe('response')
        expect(responseMillis).toBeLessThan(200)
        expect(acceptedMillis).toBeGreaterThan(350)
        expect(acceptedMillis).toBeLessThan(1500)
      }
    })
  })

  test('B50: after-response: the environment is let go marginMillis before the function ends', async () => {
    const env = { MODE: 'after-response', TIMEOUT_MILLIS: '60000', MARGIN_MILLIS: '500' }
    await withFunction({ source, env, timeoutMillis: 1500 }, async ({ environment, collector }) => {
      collector.requests.otherwise(hangsAfterReading())
      const { kind, acceptedMillis } = await environment.invoke({})
      expect(kind).toBe('response')
      expect(acceptedMillis).toBeLessThan(1500)
    })
  })

  test.each(MODES)(
    'B50: %s: a handler that runs into its timeout has what it ended so far delivered',
    async (mode) => {
      const env = { MODE: mode }
      await withFunction({ source, env, timeoutMillis: 1200 }, async ({ environment, collector }) => {
        const { requestId, kind } = await environment.invoke({ spans: 3, outcome: 'never' })
        expect(kind).toBe('timeout')
        expect(collector.spansOf(requestId)).toEqual(['0', '1', '2'])
      })
    },
  )

  test.each(MODES)('B50: %s: a provider is flushed within the same limits', async (mode) => {
    const env = { MODE: mode, TARGET: 'provider', TIMEOUT_MILLIS: '300' }
    await withFunction({ source, env }, async ({ environment, collector }) => {
      const { requestId } = await environment.invoke({ spans: 2 })
      expect(collector.spansOf(requestId).sort()).toEqual(['0', '1', 'root'])
      collector.requests.otherwise(hangsAfterReading())
      const { kind, responseMillis, acceptedMillis } = await environment.invoke({})
      expect(kind).toBe('response')
      expect(responseMillis + acceptedMillis).toBeGreaterThanOrEqual(295)
      expect(responseMillis + acceptedMillis).toBeLessThan(1500)
    })
  })
})

describeInLambda('the after-response mode', () => {
  /** From the handler's last act to the arrival of its response, in milliseconds. */
  const delayOf = ({ body, respondedAt }: Invoked): number => respondedAt - JSON.parse(body).at

  test('B50: delays the response by less than 1 ms, however slow the backend', async () => {
    const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!
    const measured = await withFunction({ source, env: { MODE: 'unwrapped' } }, (unwrapped) =>
      withFunction({ source, env: { MODE: 'after-response' } }, async (wrapped) => {
        wrapped.collector.requests.otherwise(answersAfterMillis(30))
        const rounds: { unwrapped: number; wrapped: number; accepted: number }[] = []
        // On a busy machine a round may be unlucky; hardly three of them.
        for (
          let round = 0;
          round < 3 && !rounds.some(({ unwrapped, wrapped }) => wrapped - unwrapped < 1);
          round++
        ) {
          const delays = { unwrapped: [] as number[], wrapped: [] as number[], accepted: [] as number[] }
          for (let i = 0; i < 60; i++) {
            delays.unwrapped.push(delayOf(await unwrapped.environment.invoke({ spans: 10 })))
            const invoked = await wrapped.environment.invoke({ spans: 10 })
            expect(wrapped.collector.spansOf(invoked.requestId)).toHaveLength(11)
            delays.wrapped.push(delayOf(invoked))
            delays.accepted.push(invoked.acceptedMillis)
          }
          rounds.push({
            unwrapped: median(delays.unwrapped),
            wrapped: median(delays.wrapped),
            accepted: median(delays.accepted),
          })
        }
        return rounds.at(-1)!
      }),
    )
    console.log(
      `response after ${measured.unwrapped.toFixed(2)} ms unwrapped, ${measured.wrapped.toFixed(2)} ms wrapped; ` +
        `next invocation accepted ${measured.accepted.toFixed(1)} ms after it, with a backend that takes 30 ms`,
    )
    expect(measured.wrapped - measured.unwrapped).toBeLessThan(1)
    expect(measured.accepted).toBeGreaterThanOrEqual(30)
  })

  test('B50: an invocation that never reaches the wrapped handler is not held for long', async () => {
    const env = { MODE: 'after-response' }
    await withFunction({ source, exported: 'guarded', env }, async ({ environment, collector }) => {
      const { body, acceptedMillis } = await environment.invoke({ outcome: 'undefined' })
      expect(body).toBe('"guarded"')
      expect(acceptedMillis).toBeLessThan(2000)
      const next = await environment.invoke({ spans: 2 })
      expect(collector.spansOf(next.requestId)).toHaveLength(3)
    })
  })

  test('B50: a response that does not wait for the handler leaves the environment open no longer than the margin allows', async () => {
    const env = { MODE: 'after-response', MARGIN_MILLIS: '500' }
    await withFunction({ source, exported: 'guarded', env, timeoutMillis: 1500 }, async ({ environment }) => {
      for (let i = 0; i < 2; i++) {
        const { kind, body, acceptedMillis } = await environment.invoke({ outcome: 'never' })
        expect({ kind, body }).toEqual({ kind: 'response', body: '"impatient"' })
        expect(acceptedMillis).toBeLessThan(1500)
      }
    })
  })

  test('B50: what ends after the drain is delivered on SIGTERM, which then ends the process as ever', async () => {
    const env = { MODE: 'after-response' }
    await withFunction({ source, env }, async ({ environment, collector }) => {
      // The backend is slow for once, so that the process still runs when the span ends.
      collector.requests.script(answersAfterMillis(150))
      const { requestId } = await environment.invoke({ lateMillis: 50 })
      expect(collector.spansOf(requestId)).not.toContain('late')
      await environment.shutDown()
      expect(collector.spansOf(requestId)).toContain('late')
      expect(environment.signal).toBe('SIGTERM')
    })
  })
})

describeInLambda('an environment that handles several invocations at once', () => {
  test.each(MODES)('B50: %s: those that overlap share one drain', async (mode) => {
    await withFunction({ source, concurrency: 16, env: { MODE: mode } }, async (running) => {
      const { environment, collector } = running
      let inFlight = 0
      let mostRunning = 0
      collector.requests.otherwise({
        stage: 'request',
        act(socket, request) {
          mostRunning = Math.max(mostRunning, ++inFlight)
          const answered = elapsed(20).then(() => void inFlight--)
          answersAfter(answered, 200).act(socket, request)
        },
      })
      const invoked = await Promise.all(
        Array.from({ length: 64 }, (_, i) => environment.invoke({ spans: 2, takesMillis: (i % 4) * 10 })),
      )
      expect(environment.freezes).toBe(0)
      for (const { requestId, kind } of invoked) {
        expect(kind).toBe('response')
        if (mode === 'after-response') await expect.poll(() => collector.spansOf(requestId)).toHaveLength(3)
        expect(collector.spansOf(requestId).sort()).toEqual(['0', '1', 'root'])
      }
      expect(mostRunning).toBe(1)
      expect(collector.requests.requests.length).toBeLessThan(32)
    })
  })
})

describeInLambda('spans that end after the last flush', () => {
  test.each(MODES)(
    'B61: %s: are reported with the next invocation, how many and of which scope, and delivered',
    async (mode) => {
      const env = { MODE: mode, DIAG: 'true' }
      await withFunction(
        { source: 'programs/lambda-registering.ts', env },
        async ({ environment, collector }) => {
          const first = await environment.invoke({ lateMillis: 400 })
          await elapsed(500)
          const second = await environment.invoke({}, { thawMillis: 50 })
          expect(collector.spansOf(first.requestId).sort()).toEqual(['0', 'late', 'root'])
          expect(collector.spansOf(second.requestId).sort()).toEqual(['0', 'root'])
          const reports = environment.output.match(/tailrace: .* ended after the last flush .*/g)
          expect(reports).toEqual([expect.stringMatching(/: 1 spans .*: function \(1\)$/)])
        },
      )
    },
  )
})

function answersAfterMillis(millis: number): Behaviour {
  return {
    stage: 'request',
    act: (socket, request) => answersAfter(elapsed(millis), 200).act(socket, request),
  }
}

/** Numbers from 0 to 1, the same ones for each run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
