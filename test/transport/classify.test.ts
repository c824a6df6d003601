import { describe, expect, it } from 'vitest'
import { classify } from '../../src/transport/classify.ts'
import { failure, type TransportResponse, type TransportResult } from '../../src/transport/transport.ts'
import type { Outcome } from '../../src/types.ts'

const TARGET = 'https://collector.example/v1/traces'
const EMPTY = new Uint8Array()
const NOTHING = new Set<string>()

function response(status: number, rest: Partial<TransportResponse> = {}): TransportResponse {
  return { kind: 'response', status, body: EMPTY, header: () => undefined, ...rest }
}

function outcomeOf(result: TransportResult, secrets: ReadonlySet<string> = NOTHING): Outcome {
  return classify(result, TARGET, secrets, () => ({ kind: 'delivered', rejected: 0 }))
}

describe('classify', () => {
  it.each([429, 502, 503, 504])('B32: %d is retryable', (status) => {
    expect(outcomeOf(response(status))).toMatchObject({
      kind: 'retryable',
      error: { code: 'http_status', status, message: `${TARGET} answered ${status}` },
    })
  })

  it.each([400, 401, 403, 404, 405, 408, 415, 418, 451, 500, 501, 505, 599])('B32: %d is final', (status) => {
    expect(outcomeOf(response(status))).toMatchObject({
      kind: 'final',
      error: { code: 'http_status', status },
    })
  })

  it.each([0, 301, 302, 303, 304, 307, 308])('B31: the redirect %d is final', (status) => {
    const outcome = outcomeOf(response(status, { header: () => 'https://user:password@elsewhere.example' }))
    expect(outcome).toMatchObject({ kind: 'final', error: { code: 'http_status', status } })
    expect(String(Object(outcome).error)).toContain('redirect')
    expect(String(Object(outcome).error)).not.toContain('elsewhere')
  })

  it.each([200, 201, 202, 204, 299])('B32: %d is delivered', (status) => {
    expect(outcomeOf(response(status))).toEqual({ kind: 'delivered', rejected: 0 })
  })

  it('B35: 413 is too large', () => {
    expect(outcomeOf(response(413))).toMatchObject({
      kind: 'too_large',
      error: { code: 'too_large', status: 413 },
    })
  })

  it.each([
    ['JSON', '{"code":3, "message":"http: request body too large"}'],
    ['protobuf', '\b\u0003\u0012\u001chttp: request body too large'],
  ])("B35: the OpenTelemetry Collector's 400 for a body that is too large is too large, in %s", (_, text) => {
    const body = new TextEncoder().encode(text)
    expect(outcomeOf(response(400, { body }))).toMatchObject({
      kind: 'too_large',
      error: { code: 'too_large', status: 400, message: `${TARGET} answered 400` },
    })
    expect(outcomeOf(response(500, { body }))).toMatchObject({ kind: 'final' })
  })

  it.each([429, 502, 503, 504])('B33: Retry-After of a %d is passed on', (status) => {
    const header = (name: string): string | undefined => (name === 'retry-after' ? '7' : undefined)
    expect(outcomeOf(response(status, { header }))).toMatchObject({
      kind: 'retryable',
      retryAfterMillis: 7000,
    })
  })

  it('B33: without a usable Retry-After there is no delay in the outcome', () => {
    expect(outcomeOf(response(503, { header: () => '0' }))).not.toHaveProperty('retryAfterMillis')
  })

  it('B32: a network failure is retryable, and a stale socket says so', () => {
    const error = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    expect(outcomeOf(failure('network', error))).toMatchObject({
      kind: 'retryable',
      error: { code: 'network', message: `${TARGET}: read ECONNRESET`, cause: { code: 'ECONNRESET' } },
    })
    expect(outcomeOf(failure('network', error))).not.toHaveProperty('staleSocket')
    expect(outcomeOf(failure('network', error, true))).toMatchObject({ kind: 'retryable', staleSocket: true })
  })

  it('B32: what `fetch` hides in the cause is in the message', () => {
    const cause = new Error('getaddrinfo ENOTFOUND collector.example')
    const outcome = outcomeOf(failure('network', new TypeError('fetch failed', { cause })))
    expect(outcome).toMatchObject({ error: { message: `${TARGET}: fetch failed: ${cause.message}` } })
  })

  it('B32: a failed connection to several addresses has a message too', () => {
    const refused = new Error('connect ECONNREFUSED ::1:4318')
    const error = Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' })
    expect(outcomeOf(failure('network', error))).toMatchObject({
      error: { message: `${TARGET}: ECONNREFUSED` },
    })
  })

  it('B32: an attempt that ran out of time is a timeout, another abort an abort, both retryable', () => {
    const timeout = new DOMException('too late', 'TimeoutError')
    expect(outcomeOf(failure('aborted', timeout))).toMatchObject({
      kind: 'retryable',
      error: { code: 'timeout' },
    })
    const abort = new DOMException('stop', 'AbortError')
    expect(outcomeOf(failure('aborted', abort))).toMatchObject({
      kind: 'retryable',
      error: { code: 'aborted' },
    })
  })

  it('B36: a response that is too large is final, whatever its status', () => {
    for (const status of [200, 503]) {
      const oversized = response(status, {
        failure: failure('bad_response', new RangeError('larger than 4 MiB')),
      })
      expect(outcomeOf(oversized)).toMatchObject({ kind: 'final', error: { code: 'bad_response' } })
    }
  })

  it('B32: a body that broke off leaves a 2xx retryable, and any other status what it is', () => {
    const broken = { failure: failure('network', new Error('aborted')) }
    expect(outcomeOf(response(200, broken))).toMatchObject({ kind: 'retryable', error: { code: 'network' } })
    expect(outcomeOf(response(400, broken))).toMatchObject({ kind: 'final', error: { status: 400 } })
    expect(outcomeOf(response(503, broken))).toMatchObject({ kind: 'retryable', error: { status: 503 } })
  })

  it('B59: secrets are taken out of messages and causes, and properties of foreign errors left behind', () => {
    const error = Object.assign(
      new Error('401 for Bearer hunter2!, hunter2!', { cause: new Error('key=hunter2!') }),
      {
        config: { headers: { authorization: 'hunter2!' } },
      },
    )
    const outcome = outcomeOf(failure('network', error), new Set(['hunter2!']))
    const { error: exportError } = outcome as { error: Error & { cause: Error } }
    expect(exportError.message).toBe(`${TARGET}: 401 for Bearer ***, ***: key=***`)
    expect(exportError.cause).not.toHaveProperty('config')
    expect(String(exportError.cause.cause)).toBe('Error: key=***')
  })

  it('B60: an error that cannot be read is an error all the same', () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('no')
        },
      },
    )
    expect(outcomeOf(failure('network', hostile))).toMatchObject({ kind: 'retryable' })
    expect(outcomeOf(failure('network', null))).toMatchObject({ kind: 'retryable' })
    expect(outcomeOf(failure('network', undefined))).toMatchObject({ kind: 'retryable' })
  })
})
