import { describe, expect, it } from 'vitest'
import { flushBeforeExit, shutdownOnSignal } from '../../src/lifecycle/node.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { runScript } from '../helpers/child-process.ts'
import { describeEnding } from '../helpers/ending-suite.ts'

describeEnding(process.execPath, 'this Node')

const target = { forceFlush: async () => {}, shutdown: async () => {} }

describe('what is wrong at wrap time', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'no target',
      () => shutdownOnSignal(undefined as never),
      /processorOrProvider must be .+ with shutdown, not undefined/,
    ],
    [
      'a target without shutdown',
      () => shutdownOnSignal({} as never),
      /processorOrProvider must be .+, not \[object Object\]/,
    ],
    [
      'one of several',
      () => shutdownOnSignal([target, 7 as never]),
      /processorOrProvider\[1\] must be .+, not 7/,
    ],
    [
      'no forceFlush',
      () => flushBeforeExit({ shutdown() {} } as never),
      /flushBeforeExit: .+ with forceFlush/,
    ],
    ['options', () => shutdownOnSignal(target, null as never), /options must be an object, not null/],
    [
      'signals',
      () => shutdownOnSignal(target, { signals: 'SIGTERM' as never }),
      /signals must be an array.+"SIGTERM"/,
    ],
    [
      'onDone',
      () => shutdownOnSignal(target, { onDone: 'log' as never }),
      /onDone must be a function, not "log"/,
    ],
    [
      'timeoutMillis',
      () => flushBeforeExit(target, { timeoutMillis: '5' as never }),
      /timeoutMillis must be .+, not "5"/,
    ],
  ])('%s: a TypeError that says what and how', (_what, call, message) => {
    expect(call).toThrow(TypeError)
    expect(call).toThrow(message)
  })

  it.each<[string, () => unknown, RegExp]>([
    [
      'no signal',
      () => shutdownOnSignal(target, { signals: [] }),
      /signals must be an array of at least one/,
    ],
    [
      'an unknown signal',
      () => shutdownOnSignal(target, { signals: ['SIGBREAKFAST' as never] }),
      /"SIGBREAKFAST"/,
    ],
    ['a signal that cannot be caught', () => shutdownOnSignal(target, { signals: ['SIGKILL'] }), /"SIGKILL"/],
    [
      'a negative time',
      () => shutdownOnSignal(target, { timeoutMillis: -1 }),
      /from 0 to 2147483647, not -1/,
    ],
    ['no number', () => flushBeforeExit(target, { timeoutMillis: Number.NaN }), /not NaN/],
  ])('%s: a RangeError that says what and how', (_what, call, message) => {
    expect(call).toThrow(RangeError)
    expect(call).toThrow(message)
  })

  it('leaves no listener behind', () => {
    const before = process.eventNames().map((name) => process.listenerCount(name))
    expect(() => shutdownOnSignal(target, { signals: ['SIGTERM', 'SIGKILL'] })).toThrow()
    expect(process.eventNames().map((name) => process.listenerCount(name))).toEqual(before)
  })

  it('an unknown option is warned about', () => {
    const lines = captureDiag()
    flushBeforeExit(target, { timeout: 5 } as never)()
    expect(lines).toEqual(['tailrace: flushBeforeExit: unknown option timeout is ignored'])
  })
})

it('B53: the global provider of the API stands for the one that is registered at the end', async () => {
  const { code, output } = await runScript(`
    import { trace } from '@opentelemetry/api'
    import { flushBeforeExit } from './src/lifecycle/node.ts'
    flushBeforeExit(trace.getTracerProvider())
    trace.setGlobalTracerProvider({
      getTracer() {},
      async forceFlush() { console.log('flushed') },
      async shutdown() {},
    })
  `)
  expect({ code, output: output.trim() }).toEqual({ code: 0, output: 'flushed' })
})

describe('the disposer', () => {
  it('B53: is a function, and something for `using`', () => {
    const count = () => process.listenerCount('SIGTERM') + process.listenerCount('beforeExit')
    const before = count()
    {
      using _signal = shutdownOnSignal([])
      using _exit = flushBeforeExit(target)
      expect(count()).toBe(before + 2)
    }
    expect(count()).toBe(before)
    const dispose = shutdownOnSignal(target)
    dispose()
    dispose()
    expect(count()).toBe(before)
  })
})
