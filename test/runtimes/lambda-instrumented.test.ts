/** Together with OpenTelemetry's instrumentation of handlers, which wraps outermost and flushes the provider itself. */
import { expect, test } from 'vitest'
import { describeInLambda, LambdaCollector, withFunction } from '../helpers/lambda-function.ts'
import { startCollector } from '../helpers/misbehaving-collector.ts'
import { hangsAfterReading } from '../helpers/misbehaviours.ts'

const function_ = { source: 'programs/lambda-instrumented.ts', preload: 'programs/lambda-sdk.ts' }
const MODES = ['before-response', 'after-response'] as const
const TARGETS = ['processor', 'provider'] as const

describeInLambda('with the OpenTelemetry instrumentation', () => {
  for (const mode of MODES) {
    test.each(TARGETS)(
      `B50: ${mode}, given the %s: its root span is among what is out before the freeze`,
      async (target) => {
        const env = { MODE: mode, TARGET: target }
        await withFunction({ ...function_, env }, async ({ environment, collector }) => {
          for (let i = 0; i < 20; i++) {
            const { requestId, kind } = await environment.invoke({ spans: 3 })
            expect(kind).toBe('response')
            expect(collector.spansOf(requestId).sort()).toEqual(['0', '1', '2', 'root'])
          }
        })
      },
    )

    test(`B50: ${mode}: one budget holds for both flushes, with a backend that hangs`, async () => {
      const env = { MODE: mode, TIMEOUT_MILLIS: '400' }
      await withFunction({ ...function_, env }, async ({ environment, collector }) => {
        await environment.invoke({ spans: 1 })
        collector.requests.otherwise(hangsAfterReading())
        for (let i = 0; i < 3; i++) {
          const { kind, responseMillis, acceptedMillis } = await environment.invoke({ spans: 1 })
          expect(kind).toBe('response')
          const [waits, isQuick] =
            mode === 'after-response' ? [acceptedMillis, responseMillis] : [responseMillis, acceptedMillis]
          expect(waits).toBeGreaterThan(350)
          expect(waits).toBeLessThan(790)
          expect(isQuick).toBeLessThan(300)
        }
      })
    })
  }

  test('B50: after-response: what a second processor holds is out before the freeze, too, and delays no response', async () => {
    const second = new LambdaCollector(await startCollector())
    const env = { MODE: 'after-response', SECOND_URL: second.url }
    await withFunction({ ...function_, env }, async ({ environment }) => {
      for (let i = 0; i < 10; i++) {
        const { requestId } = await environment.invoke({ spans: 2 })
        expect(second.spansOf(requestId).sort()).toEqual(['0', '1', 'root'])
      }
      second.requests.otherwise(hangsAfterReading())
      const { responseMillis } = await environment.invoke({ spans: 2 })
      expect(responseMillis).toBeLessThan(300)
    })
    await second.stop()
  })
})
