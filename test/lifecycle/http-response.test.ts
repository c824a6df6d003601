import { EventEmitter } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import * as express from '../../src/lifecycle/express.ts'
import * as fastify from '../../src/lifecycle/fastify.ts'
import * as hono from '../../src/lifecycle/hono.ts'
import * as koa from '../../src/lifecycle/koa.ts'
import { captureDiag } from '../helpers/captured-diag.ts'
import { deliveringExporter } from '../helpers/exporters.ts'
import { watchedProcessor } from '../helpers/ledger.ts'

const processor = watchedProcessor(deliveringExporter('encoded'))

describe.each([
  ['express', express.flushAfterResponse],
  ['fastify', fastify.flushAfterResponse],
  ['hono', hono.flushAfterResponse],
  ['koa', koa.flushAfterResponse],
])('tailrace/%s: what is wrong at wrap time', (name, flushAfterResponse) => {
  it.each<[string, unknown, RegExp]>([
    ['no options', undefined, /options must be an object, not undefined/],
    ['neither processor nor provider', {}, /a processor or a provider must be given/],
    ['both of them', { processor, provider: processor }, /processor and provider are both given/],
    ['a processor that is none', { processor: 'console' }, /processor must be .+, not "console"/],
    ['a provider that is none', { provider: {} }, /provider must be .+, not \[object Object\]/],
    ['holdResponse', { processor, holdResponse: 1 }, /holdResponse must be a boolean, not 1/],
    ['timeoutMillis', { processor, timeoutMillis: '1' }, /timeoutMillis must be .+, not "1"/],
  ])('%s: a TypeError that says where, what and how', (_what, options, message) => {
    expect(() => flushAfterResponse(options as never)).toThrow(TypeError)
    expect(() => flushAfterResponse(options as never)).toThrow(message)
    expect(() => flushAfterResponse(options as never)).toThrow(`tailrace/${name}`)
  })

  it('a negative time: a RangeError that says what and how', () => {
    expect(() => flushAfterResponse({ processor, timeoutMillis: -1 })).toThrow(RangeError)
  })

  it('an unknown option is warned about', () => {
    const lines = captureDiag()
    flushAfterResponse({ processor, hold: true } as never)
    expect(lines).toEqual([`tailrace: tailrace/${name}: unknown option hold is ignored`])
  })
})

describe('a flush that fails', () => {
  it.each([
    ['throws', () => Promise.reject(new Error('it broke'))],
    [
      'rejects',
      () => {
        throw new Error('it broke')
      },
    ],
  ])('B10: is told to diag, and to nobody else (it %s)', async (_how, forceFlush) => {
    const lines = captureDiag()
    const middleware = hono.flushAfterResponse({ provider: { forceFlush, shutdown: async () => {} } })
    const context = { env: undefined, executionCtx: { waitUntil() {} }, res: new Response('ok') }
    Object.defineProperty(context, 'executionCtx', {
      get: () => {
        throw new Error('This context has no ExecutionContext')
      },
    })
    await middleware(context, async () => {})
    expect(lines).toEqual(['tailrace: a flush of the provider failed: it broke'])
  })
})

describe('a provider', () => {
  it('B52: is what the global one of the API stands for when the response is over', async () => {
    const forceFlush = vi.fn(async () => {})
    let delegate: object = {}
    const standIn = { getTracer: () => undefined as never, getDelegate: () => delegate }
    const middleware = koa.flushAfterResponse({ provider: standIn })
    const respond = async () => {
      const response = Object.assign(new EventEmitter(), { closed: false })
      await middleware({ res: response as never }, async () => {})
      response.emit('close')
    }
    await respond()
    delegate = { forceFlush, shutdown: async () => {} }
    await respond()
    await vi.waitFor(() => expect(forceFlush).toHaveBeenCalledTimes(2))
  })
})
