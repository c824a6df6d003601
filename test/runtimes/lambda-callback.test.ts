/** Callback handlers, and what else the runtime client of Node.js up to 22 allows (aws-lambda-ric 3). */
import { expect, test } from 'vitest'
import type { Invoked, LambdaEnvironment } from '../helpers/lambda-environment.ts'
import { describeInLambda, withFunction } from '../helpers/lambda-function.ts'
import { hangsAfterReading } from '../helpers/misbehaviours.ts'
import type { Order } from '../programs/lambda-function.ts'

const source = 'programs/lambda-function.ts'
const client = 3
const MODES = ['before-response', 'after-response'] as const

/** Every way to answer. */
const ORDERS: Order[] = [
  { by: 'callback' },
  { by: 'callback', outcome: 'undefined' },
  { by: 'callback', outcome: 'error' },
  { by: 'callback', outcome: 'string' },
  { by: 'callback', waitsForEmptyEventLoop: false },
  { by: 'succeed' },
  { by: 'fail', outcome: 'error' },
  { by: 'done' },
  { by: 'done', outcome: 'error' },
  { by: 'promise' },
  { by: 'promise', outcome: 'error' },
]

function answerOf({ kind, body }: Invoked): unknown {
  if (kind !== 'error') return { kind, body: body.replace(/"at":[\d.]+/, '"at":0') }
  const { errorType, errorMessage } = JSON.parse(body)
  return { kind, errorType, errorMessage }
}

async function answersTo(environment: LambdaEnvironment, orders: Order[]): Promise<unknown[]> {
  const given: unknown[] = []
  for (const order of orders) given.push({ order, ...(answerOf(await environment.invoke(order)) as object) })
  return given
}

describeInLambda('a callback handler', () => {
  test.each(MODES)(
    'B14, B50: %s: answers as if it were not wrapped, by whichever way, and its spans are out before the freeze',
    async (mode) => {
      const unwrapped = await withFunction(
        { source, client, exported: 'callback', env: { MODE: 'unwrapped' } },
        ({ environment }) => answersTo(environment, ORDERS),
      )
      await withFunction({ source, client, exported: 'callback', env: { MODE: mode } }, async (running) => {
        const { environment, collector } = running
        for (const [i, order] of ORDERS.entries()) {
          const invoked = await environment.invoke({ spans: 2, ...order })
          expect(collector.spansOf(invoked.requestId).sort(), JSON.stringify(order)).toEqual([
            '0',
            '1',
            'root',
          ])
          const answer = answerOf(invoked) as { body?: string }
          if (answer.body) answer.body = answer.body.replace('"spans":2,', '')
          expect({ order, ...answer }).toEqual(unwrapped[i])
        }
      })
    },
  )

  test.each(MODES)('B14, B50: %s: a backend that hangs does not change an answer', async (mode) => {
    const unwrapped = await withFunction(
      { source, client, exported: 'callback', env: { MODE: 'unwrapped' } },
      ({ environment }) => answersTo(environment, ORDERS),
    )
    const env = { MODE: mode, TIMEOUT_MILLIS: '50' }
    await withFunction({ source, client, exported: 'callback', env }, async ({ environment, collector }) => {
      collector.requests.otherwise(hangsAfterReading())
      expect(await answersTo(environment, ORDERS)).toEqual(unwrapped)
    })
  })

  test.each(MODES)(
    'B14, B50: %s: an answer that waits for an empty event loop waits for the work of the handler, not for a dead backend',
    async (mode) => {
      const env = { MODE: mode, TIMEOUT_MILLIS: '50' }
      for (const exported of ['callback', 'streaming']) {
        await withFunction({ source, client, exported, env }, async ({ environment, collector }) => {
          collector.requests.otherwise(hangsAfterReading())
          for (let i = 0; i < 3; i++) {
            const { responseMillis, acceptedMillis } = await environment.invoke({ lateMillis: 300 })
            if (exported === 'callback') expect(responseMillis).toBeGreaterThanOrEqual(299)
            expect(responseMillis + acceptedMillis).toBeLessThan(2000)
          }
        })
      }
    },
  )

  test('B50: work that goes on after the callback is waited for, and its spans too', async () => {
    await withFunction(
      { source, client, exported: 'callback', env: { MODE: 'after-response' } },
      async (running) => {
        const { requestId, responseMillis } = await running.environment.invoke({ lateMillis: 100 })
        expect(responseMillis).toBeGreaterThanOrEqual(99)
        expect(running.collector.spansOf(requestId).sort()).toEqual(['0', 'late', 'root'])
      },
    )
  })

  test('B50: a handler that never answers is answered by the runtime when nothing is left, its last spans flushed', async () => {
    for (const mode of MODES) {
      await withFunction({ source, client, exported: 'callback', env: { MODE: mode } }, async (running) => {
        const { requestId, body } = await running.environment.invoke({ by: 'nothing', lateMillis: 100 })
        expect(body).toBe('null')
        expect(running.collector.spansOf(requestId).sort()).toEqual(['0', 'late', 'root'])
      })
    }
  })

  test('B50: works on a runtime client that has no callbacks any more, wrapped as it is', async () => {
    await withFunction({ source, client: 4, exported: 'callback' }, async ({ environment, collector }) => {
      for (const order of [{ by: 'callback' }, { by: 'promise' }] satisfies Order[]) {
        const { requestId, kind, body } = await environment.invoke(order)
        expect({ kind, body }).toMatchObject({ kind: 'response', body: expect.stringContaining('Grüße') })
        expect(collector.spansOf(requestId).sort()).toEqual(['0', 'root'])
      }
      const { body } = await environment.invoke({ outcome: 'error' })
      expect(JSON.parse(body)).toMatchObject({ errorType: 'CardDeclined' })
    })
    const unwrapped = { source, client: 4, exported: 'callback', env: { MODE: 'unwrapped' } } as const
    await withFunction(unwrapped, async ({ environment }) => {
      expect(environment.initError).toContain('CallbackHandlerDeprecated')
    })
  })
})

describeInLambda('the runtime client of Node.js 20', () => {
  test.each(MODES)('B50: %s: async and streaming handlers: spans are out before the freeze', async (mode) => {
    for (const exported of ['handler', 'streaming']) {
      await withFunction({ source, client, exported, env: { MODE: mode } }, async (running) => {
        for (let i = 0; i < 20; i++) {
          const { requestId, kind } = await running.environment.invoke({ spans: 3 })
          expect(kind).toBe('response')
          expect(running.collector.spansOf(requestId).sort()).toEqual(['0', '1', '2', 'root'])
        }
      })
    }
  })
})
